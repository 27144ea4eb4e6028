"""What does the filter of codes cost, and what does it give?

    python -m loadtest.filter --codes 20000000

Fills an embedded Postgres with codes, builds the snapshot, starts front doors that share it, and asks it. Only the tables and
the processes are real: there are no workers. The indexes that are not read here are dropped, to fill faster.
"""

import asyncio
import hashlib
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import click
from pybloom_live import BloomFilter

from claim_workers.filter_building import as_library, build
from frontdoor.code_filter import CodeFilter
from lastslot.embedded import postgres_server, redis_server
from loadtest.filter_doors import doors, shared_memory
from shared import filter_file
from shared.domain.code import Code
from shared.domain.code_filter import CodeFilter as BitFilter
from shared.domain.code_filter import words_of
from shared.domain.ids import DoorId
from shared.migrations.run import migrate
from shared.postgres import close_pool, open_pool
from shared.statements import statement

_AT_A_TIME = 1_000_000
_STRANGERS = 1_000_000
_ASKED = 200_000
_PASSWORD = "only-for-load-tests"
_CODE = "upper(left(md5(n::text), 16))"


@click.command()
@click.option("--codes", type=click.IntRange(min=1_000), default=20_000_000, show_default=True, help="How many there are.")
@click.option("--frontdoors", type=click.IntRange(min=1), default=4, show_default=True, help="Processes that share the file.")
def main(codes: int, frontdoors: int) -> None:
    """Measure the filter of codes: building, starting, memory, look-ups, false positives."""
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    click.echo(f"{codes:,} codes; {cores} cores, Python {platform.python_version()}, load average before {load:.1f}")
    with (
        tempfile.TemporaryDirectory(prefix="lastslot-filter-", ignore_cleanup_errors=True) as name,
        _stores(Path(name)) as urls,
    ):
        directory = Path(name, "filter")
        asyncio.run(_fill(urls[0], codes))
        asyncio.run(_measure_building(urls[0], directory))
        with doors(frontdoors, urls, directory) as started:
            waited = ", ".join(f"{each.ready_s - each.heard_s:.2f}" for each in started)
            slowest = max(each.ready_s for each in started)
            click.echo(f"start     all ready after {slowest:.1f} s, each {waited} s after its first answer")
            click.echo(shared_memory(started, directory / filter_file.NAME))
        asyncio.run(_measure_loading(urls[0], directory))
        snapshot = filter_file.load(directory)
        _measure_asking(snapshot.codes)


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lastslot-filter-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def _stores(directory: Path) -> Iterator[tuple[str, str]]:
    postgres = postgres_server(directory / "postgres", _PASSWORD, directory / "postgres.log")
    redis = redis_server(directory / "redis", _PASSWORD, directory / "redis.log")
    postgres.start()
    try:
        redis.start()
        try:
            migrate(postgres.url)
            yield postgres.url, redis.url
        finally:
            redis.stop()
    finally:
        postgres.stop()


async def _fill(dsn: str, codes: int) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP INDEX codes_by_code, codes_by_campaign, free_codes")
    await connection.execute("ALTER TABLE codes SET UNLOGGED")
    for start in range(0, codes, _AT_A_TIME):
        await connection.execute(
            f"INSERT INTO codes (campaign_id, code) SELECT '00000000-0000-0000-0000-000000000001', {_CODE} "
            f"FROM generate_series({start}, {min(start + _AT_A_TIME, codes) - 1}) AS n"
        )
    await connection.close()


async def _measure_building(dsn: str, directory: Path) -> None:
    began, busy = time.perf_counter(), _busy_s()
    built = await build(dsn, directory)
    took, busy = time.perf_counter() - began, _busy_s() - busy
    if built is None:
        raise SystemExit("something else builds there")
    click.echo(
        f"build     {built.codes:,} codes in {took:.1f} s: {built.codes / took:,.0f} a second, "
        f"{built.codes / busy:,.0f} per second of this process's core"
    )
    keys = [b"%016X" % number for number in range(_ASKED)]
    hashed, added, read = _rate(_hash_all, keys), _rate(_library_adds, keys), built.codes / await _reading_s(dsn)
    click.echo(
        f"          beside it: SHA-384 {hashed:,.0f}, the library's add {added:,.0f}, reading the codes {read:,.0f} a second"
    )


def _busy_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


async def _reading_s(dsn: str) -> float:
    async def ignore(_: bytes) -> None: ...

    connection = await asyncpg.connect(dsn)
    began = time.perf_counter()
    await connection.copy_from_query(statement("all_codes"), output=ignore)
    await connection.close()
    return time.perf_counter() - began


def _hash_all(keys: Sequence[bytes]) -> None:
    salt = hashlib.sha384(b"salt")
    for key in keys:
        digest = salt.copy()
        digest.update(key)
        digest.digest()


def _library_adds(keys: Sequence[bytes]) -> None:
    library = BloomFilter(len(keys))
    for key in keys:
        library.add(key.decode(), skip_check=True)


def _rate(work: Callable[[Sequence[bytes]], None], keys: Sequence[bytes]) -> float:
    began = time.process_time()
    work(keys)
    return len(keys) / (time.process_time() - began)


async def _measure_loading(dsn: str, directory: Path) -> None:
    pool = await open_pool(dsn, 2)
    codes = CodeFilter(DoorId("door"), pool, str(directory))
    began = time.perf_counter()
    following = asyncio.create_task(codes.keep_following())
    while not codes.trusted:  # noqa: ASYNC110 - nobody else waits for it
        await asyncio.sleep(0.001)
    took = time.perf_counter() - began
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await close_pool(pool)
    click.echo(f"load      {took:.3f} s to map the file, prove its checksum, and be on the list of doors")


def _measure_asking(codes: BitFilter) -> None:
    strangers = [Code(f"STRANGER-{number}") for number in range(_STRANGERS)]
    taken = sum(codes.holds(words_of(code)) for code in strangers)
    click.echo(f"strangers {taken:,} of {_STRANGERS:,} taken for codes: {100 * taken / _STRANGERS:.3f} %")
    known = [Code(hashlib.md5(b"%d" % number).hexdigest()[:16].upper()) for number in range(min(_ASKED, codes.count))]
    if not all(codes.holds(words_of(code)) for code in known):
        raise SystemExit("a code that exists is lacking")
    library = as_library(codes)
    for what, asked in (("miss", strangers[:_ASKED]), ("hit", known)):
        ours = _microseconds(lambda asked=asked: [codes.holds(words_of(code)) for code in asked], len(asked))  # type: ignore[misc]
        theirs = _microseconds(lambda asked=asked: [code in library for code in asked], len(asked))  # type: ignore[misc]
        click.echo(f"{what:<9} {ours:.2f} µs; the library's own {theirs:.2f} µs")


def _microseconds(work: Callable[[], object], times: int) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) / times * 1e6


if __name__ == "__main__":
    main()
