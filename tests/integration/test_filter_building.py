"""Snapshots are built of all codes, when they are due, by one process of a machine, and doors go on from them."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from claim_workers import filter_building
from claim_workers.filter_building import Builder, FilterBroken, build
from frontdoor.issued_codes import PAGE
from shared import filter_file, metrics
from shared.domain import filter_growth
from shared.domain.code import Code
from shared.domain.code_filter import CodeFilter as BitFilter
from shared.domain.code_filter import words_of
from shared.postgres import Pool
from tests.integration.engine import until
from tests.integration.test_code_filter import NOWHERE, a_pool_of_codes, following, holds, mint

ODD = [Code("BACK\\SLASH"), Code("TWO\\\\"), Code("SOLDES-ÉTÉ"), Code("\\N"), Code("\\."), Code("ÉMOJI-🎉"), Code("QUOTE'\"")]


async def insert(pool: Pool, codes: list[Code]) -> None:
    await pool.execute(
        "INSERT INTO codes (campaign_id, code) SELECT gen_random_uuid(), code FROM unnest($1::text[]) AS code", codes
    )


async def test_a_snapshot_has_every_code_whatever_it_is_spelt_with(dsn: str, pool: Pool, tmp_path: Path) -> None:
    minted = await mint(pool, await a_pool_of_codes(pool), 3_000)
    await insert(pool, ODD)
    built = await build(dsn, tmp_path / "filter")
    assert built is not None
    assert built.codes == 3_001 + len(ODD)
    snapshot = filter_file.load(tmp_path / "filter")
    assert snapshot.position == await pool.fetchval("SELECT position FROM code_log_head")
    assert all(snapshot.codes.holds(words_of(code)) for code in [*minted, *ODD])
    assert not snapshot.codes.holds(words_of(NOWHERE))


async def test_codes_that_arrive_in_pieces_are_whole(
    dsn: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filter_building, "_PIECE_BYTES", 7)
    minted = await mint(pool, await a_pool_of_codes(pool), 100)
    await build(dsn, tmp_path)
    snapshot = filter_file.load(tmp_path)
    assert snapshot.codes.count == 101
    assert all(snapshot.codes.holds(words_of(code)) for code in minted)


async def test_a_door_goes_on_from_a_snapshot_and_takes_up_the_next(dsn: str, pool: Pool, tmp_path: Path) -> None:
    campaign = await a_pool_of_codes(pool)
    minted = await mint(pool, campaign, 500)
    await build(dsn, tmp_path)
    minted += await mint(pool, campaign, 200)
    async with following(pool, tmp_path) as door:
        assert (door._issued.mapped, door._issued.added) == (501, 200)
        assert not any(door._issued.lack(code) for code in minted)
        assert door.lacks(NOWHERE)
        await build(dsn, tmp_path)
        minted += await mint(pool, campaign, 3)
        await until(lambda: holds(lambda: (door._issued.mapped, door._issued.added) == (701, 3)))
        assert not any(door._issued.lack(code) for code in minted)
        await until(lambda: holds(lambda: door.lacks(NOWHERE)))


async def test_a_door_without_a_snapshot_that_it_can_use_reads_the_whole_log_and_says_why(
    dsn: str, pool: Pool, tmp_path: Path
) -> None:
    minted = await mint(pool, await a_pool_of_codes(pool), 2 * PAGE)
    await build(dsn, tmp_path)
    snapshot = tmp_path / filter_file.NAME
    snapshot.write_bytes(snapshot.read_bytes()[:-1])
    with capture_logs() as lines:
        async with following(pool, tmp_path) as door:
            assert (door._issued.mapped, door._issued.added) == (0, 2 * PAGE + 1)
            assert not any(door._issued.lack(code) for code in minted)
    assert [(line["event"], line["error"]) for line in lines] == [("filter_snapshot_refused", "it is truncated")]


async def test_a_snapshot_of_another_database_is_refused(dsn: str, pool: Pool, tmp_path: Path) -> None:
    [code] = await mint(pool, await a_pool_of_codes(pool))
    await build(dsn, tmp_path)
    # As it would be after the database was restored to before, and another code took the position.
    await pool.execute("UPDATE code_log SET mark = gen_random_uuid() WHERE position = (SELECT position FROM code_log_head)")
    assert await Builder(dsn, pool, tmp_path).due()
    with capture_logs() as lines:
        async with following(pool, tmp_path) as door:
            assert (door._issued.mapped, door._issued.added) == (0, 2)
            assert not door.lacks(code)
    assert [line["event"] for line in lines] == ["filter_snapshot_refused"]


async def test_another_is_due_when_enough_codes_came_and_not_before(
    dsn: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filter_growth, "_WORTH_IT", 100)
    campaign, builder = await a_pool_of_codes(pool), Builder(dsn, pool, tmp_path)
    assert not await builder.due()
    await mint(pool, campaign, 100)
    assert await builder.due()
    await build(dsn, tmp_path)
    assert not await builder.due()
    await mint(pool, campaign, 100)
    assert not await builder.due()
    await mint(pool, campaign)
    assert await builder.due()


async def test_a_large_snapshot_may_be_a_tenth_behind() -> None:
    assert [filter_growth.rebuild_from(codes) for codes in (0, 1_000_000, 20_000_000)] == [100_000, 100_000, 2_000_000]
    assert filter_growth.late_from(0) == 200_000


async def test_a_damaged_snapshot_is_built_again(dsn: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_building, "EVERY_S", 0.01)
    await build(dsn, tmp_path)
    (tmp_path / filter_file.NAME).write_bytes(b"x")
    stopping = asyncio.Event()
    building = asyncio.create_task(Builder(dsn, pool, tmp_path).keep_building(stopping))
    await until(lambda: holds(lambda: (tmp_path / filter_file.NAME).stat().st_size > 1))
    stopping.set()
    await building
    assert filter_file.load(tmp_path).position == 0


async def test_one_process_of_a_machine_builds_at_a_time(dsn: str, pool: Pool, tmp_path: Path) -> None:
    with filter_building._alone(tmp_path) as alone:
        assert alone
        assert await build(dsn, tmp_path) is None
    assert await build(dsn, tmp_path) is not None


async def test_a_build_that_was_cut_short_leaves_the_snapshot_before(dsn: str, pool: Pool, tmp_path: Path) -> None:
    await build(dsn, tmp_path)
    was = filter_file.identity(tmp_path)
    (tmp_path / f"{filter_file.NAME}.new").write_bytes(b"half")
    assert filter_file.identity(tmp_path) == was
    await build(dsn, tmp_path)
    assert filter_file.load(tmp_path).position == 0


async def test_bits_that_the_library_reads_otherwise_are_not_put_in_place(
    dsn: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mint(pool, await a_pool_of_codes(pool), 10)
    add = BitFilter.add
    monkeypatch.setattr(BitFilter, "add", lambda self, codes: add(self, [code.lower() for code in codes]))
    with pytest.raises(FilterBroken):
        await build(dsn, tmp_path)
    assert filter_file.identity(tmp_path) is None


async def test_what_stops_snapshots_from_being_built_is_said_by_the_doors(
    dsn: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filter_growth, "_WORTH_IT", 10)
    campaign = await a_pool_of_codes(pool)
    with capture_logs() as lines:
        async with following(pool, tmp_path) as door:
            await mint(pool, campaign, 30)
            await until(lambda: holds(lambda: door._late))
            assert value_of("lastslot_filter_late") == 1
            await build(dsn, tmp_path)
            await until(lambda: holds(lambda: not door._late))
            assert (value_of("lastslot_filter_late"), value_of("lastslot_filter_snapshot_codes")) == (0, 31)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["filter_snapshot_late"]


def value_of(gauge: str) -> float:
    found = {sample.name: sample.value for each in GAUGES for metric in each.collect() for sample in metric.samples}
    return found[gauge]


GAUGES = (metrics.FILTER_LATE, metrics.FILTER_SNAPSHOT_CODES)


async def test_a_build_that_fails_is_tried_again(dsn: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_building, "EVERY_S", 0.01)
    monkeypatch.setattr(filter_growth, "_WORTH_IT", 0)
    await mint(pool, await a_pool_of_codes(pool))
    stopping, in_the_way = asyncio.Event(), tmp_path / "filter"
    in_the_way.write_bytes(b"")
    with capture_logs() as lines:
        building = asyncio.create_task(Builder(dsn, pool, in_the_way).keep_building(stopping))
        await until(lambda: holds(lambda: len(lines) > 2))
        in_the_way.unlink()
        await until(lambda: holds(lambda: lines[-1]["event"] == "filter_built"))
        stopping.set()
        await building
    assert {line["event"] for line in lines[:-1]} == {"filter_not_built"}
