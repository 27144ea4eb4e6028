"""Keys change while the door serves: a real file that is rewritten, a real server that answers as it likes."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from frontdoor import key_keeping
from frontdoor.jwks import KeyRing
from frontdoor.key_keeping import KeyKeeper, source_of
from shared import clock
from shared.errors import LastslotError
from tests.unit.frontdoor.keys import jwk, jwks

OLD, NEW = jwk("ES256", "old"), jwk("ES256", "new", 1)


def names(keeper: KeyKeeper) -> set[str | None] | None:
    return None if keeper.ring.keys is None else set(keeper.ring.keys)


async def until(holds: Callable[[], bool]) -> None:
    deadline = clock.monotonic() + 10
    while not holds():
        assert clock.monotonic() < deadline, "it did not come to hold"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def keeping(told: Path | str, period_s: float = 300.0) -> AsyncIterator[KeyKeeper]:
    keeper = KeyKeeper(KeyRing(), source_of(str(told), period_s))
    await keeper.begin()
    task = asyncio.create_task(keeper.keep())
    try:
        yield keeper
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Issuer:
    """A server that publishes a set; what it answers can be changed, and how often it was asked is counted."""

    def __init__(self) -> None:
        self.document = jwks(OLD)
        self.status = 200
        self.asked = 0
        self.before: Callable[[], Awaitable[object]] = self.at_once
        self.url = ""

    async def at_once(self) -> None:
        return None

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        await self.before()
        return web.Response(status=self.status, body=self.document, headers={"Location": "/elsewhere"})

    async def elsewhere(self, _: web.Request) -> web.Response:
        return web.Response(body=jwks(NEW))


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    app = web.Application()
    app.add_routes([web.get("/jwks.json", issuer.answer), web.get("/elsewhere", issuer.elsewhere)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    yield issuer
    await runner.cleanup()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(key_keeping.KeyFile, "period_s", 0.05)
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(OLD))
    return path


def rewrite(path: Path, document: bytes) -> None:
    path.write_bytes(document)


def put(path: Path, document: bytes) -> None:
    beside = path.with_suffix(".new")
    beside.write_bytes(document)
    beside.replace(path)


async def test_a_file_that_changes_is_read_again_by_itself(file: Path) -> None:
    async with keeping(file) as keeper:
        assert names(keeper) == {"old"}
        put(file, jwks(OLD, NEW))
        await until(lambda: names(keeper) == {"old", "new"})
        rewrite(file, jwks(NEW))
        await until(lambda: names(keeper) == {"new"})


async def test_a_file_is_read_at_once_for_a_key_that_is_not_known(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_keeping.KeyFile, "period_s", 3600.0)
    async with keeping(file) as keeper:
        put(file, jwks(NEW))
        await keeper.look_again()
        assert names(keeper) == {"new"}


@pytest.mark.parametrize("spoilt", [b"", b"{", jwks(jwk("ES256", "new", d="AQ")), b" " * 300_000])
async def test_a_file_that_is_spoilt_takes_nothing_away_and_is_told_of_once(file: Path, spoilt: bytes) -> None:
    async with keeping(file) as keeper:
        with capture_logs() as lines:
            put(file, spoilt)
            await until(lambda: bool(lines))
            os.unlink(file)
            await until(lambda: len(lines) > 1)
            assert names(keeper) == {"old"}
            put(file, jwks(NEW))
            await until(lambda: names(keeper) == {"new"})
        assert [line["event"] for line in lines] == ["keys_not_read", "keys_not_read", "keys_read"]


async def test_a_file_that_is_emptied_of_keys_takes_them_all(file: Path) -> None:
    async with keeping(file) as keeper:
        put(file, jwks())
        await until(lambda: names(keeper) == set())


@pytest.mark.parametrize("document", [None, b"{", jwks(jwk("ES256", "k", d="AQ"))])
async def test_a_door_does_not_begin_with_a_file_that_it_cannot_go_by(tmp_path: Path, document: bytes | None) -> None:
    path = tmp_path / "jwks.json"
    if document is not None:
        path.write_bytes(document)
    with pytest.raises(LastslotError, match="LASTSLOT_JWKS"):
        await KeyKeeper(KeyRing(), source_of(str(path), 300.0)).begin()


async def test_a_file_that_did_not_change_is_not_read(file: Path) -> None:
    source = source_of(str(file), 300.0)
    assert await source.read() == jwks(OLD)
    assert await source.read() is None
    os.utime(file, ns=(0, 0))
    assert await source.read() == jwks(OLD)


async def test_a_url_is_asked_again_every_period(issuer: Issuer) -> None:
    async with keeping(issuer.url, 0.05) as keeper:
        assert names(keeper) == {"old"}
        issuer.document = jwks(OLD, NEW)
        await until(lambda: names(keeper) == {"old", "new"})
        issuer.document = jwks(NEW)
        await until(lambda: names(keeper) == {"new"})


async def test_a_url_is_asked_at_once_for_a_key_that_is_not_known_and_once_for_all_who_wait(issuer: Issuer) -> None:
    async with keeping(issuer.url) as keeper:
        issuer.document = jwks(OLD, NEW)
        await asyncio.gather(*(keeper.look_again() for _ in range(50)))
        assert names(keeper) == {"old", "new"}
        assert issuer.asked == 2


async def test_names_that_are_made_up_do_not_make_us_ask_more_often(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    asked_at = []
    async with keeping(issuer.url) as keeper:
        for tick in range(240):
            before, now[0] = issuer.asked, 1_000.0 + tick
            await keeper.look_again()
            asked_at += [tick] * (issuer.asked - before)
        assert asked_at[:6] == [0, 1, 3, 7, 15, 31]
        assert len(asked_at) <= 10
        issuer.document = jwks(OLD, NEW)
        now[0] += 60
        await keeper.look_again()
        assert names(keeper) == {"old", "new"}
        issuer.document = jwks(NEW)
        now[0] += 1
        await keeper.look_again()
        assert names(keeper) == {"new"}


async def test_who_waits_for_a_slow_issuer_does_not_wait_long(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_keeping, "_WAIT_S", 0.05)
    answering = asyncio.Event()
    async with keeping(issuer.url) as keeper:
        issuer.before, issuer.document = answering.wait, jwks(NEW)
        await keeper.look_again()
        assert names(keeper) == {"old"}
        answering.set()
        await until(lambda: names(keeper) == {"new"})


async def _fails(issuer: Issuer, fault: str) -> None:
    match fault:
        case "status":
            issuer.status = 500
        case "redirect":
            issuer.status = 302
        case "too large":
            issuer.document = jwks(NEW) + b" " * key_keeping.MAX_BYTES
        case "secret":
            issuer.document = jwks(jwk("ES256", "new", 1, d="AQ"))
        case "page":
            issuer.document = b"<html>Sign in</html>"


@pytest.mark.parametrize("fault", ["status", "redirect", "too large", "secret", "page"])
async def test_keys_stay_while_the_issuer_is_out_of_order(issuer: Issuer, fault: str) -> None:
    async with keeping(issuer.url, 0.05) as keeper:
        with capture_logs() as lines:
            await _fails(issuer, fault)
            await until(lambda: issuer.asked > 4)
            assert [line["event"] for line in lines] == ["keys_not_read"]
            assert names(keeper) == {"old"}
            issuer.status, issuer.document = 200, jwks(NEW)
            await until(lambda: names(keeper) == {"new"})


async def test_a_door_begins_without_its_issuer_and_has_the_keys_when_he_is_back(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_keeping.KeyUrl, "first_pause_s", 0.05)
    issuer.status = 503
    async with keeping(issuer.url) as keeper:
        assert names(keeper) is None
        issuer.status = 200
        await until(lambda: names(keeper) == {"old"})


async def test_a_server_that_is_not_there_is_an_issuer_out_of_order() -> None:
    for url in ("http://127.0.0.1:1/jwks.json", "http://[/jwks.json"):
        keeper = KeyKeeper(KeyRing(), source_of(url, 300.0))
        await keeper.begin()
        assert names(keeper) is None
