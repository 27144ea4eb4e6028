"""The proxy that harms what passes does so as it is told, to that byte, and passes everything else."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import asyncpg
import pytest
import redis

from tests.proxy import Link, Network, network


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as made:
        yield made


class Echo:
    """A server that gives back what it gets, and notes what that was and how its connections ended."""

    def __init__(self) -> None:
        self.got = b""
        self.hung_up = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._repeat, args=(connection,), daemon=True).start()

    def _repeat(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65_536):
                    self.got += data
                    connection.sendall(data)
            except OSError:
                pass
        self.hung_up.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def link(net: Network, echo: Echo) -> Link:
    return net.to(echo.url)


@pytest.fixture
def speaker(link: Link) -> Iterator[socket.socket]:
    with connected(link) as speaker:
        yield speaker


def connected(link: Link) -> socket.socket:
    """A connection through the link, over which something has passed."""
    speaker = socket.create_connection(("127.0.0.1", link.port), timeout=10)
    try:
        assert said(speaker, b"hello") == b"hello"
    except BaseException:
        speaker.close()
        raise
    return speaker


def said(speaker: socket.socket, words: bytes) -> bytes:
    speaker.sendall(words)
    return heard(speaker, len(words))


def heard(speaker: socket.socket, count: int) -> bytes:
    words = b""
    while len(words) < count and (piece := speaker.recv(count - len(words))):
        words += piece
    return words


def hears_nothing(speaker: socket.socket) -> bool:
    speaker.settimeout(0.1)
    try:
        speaker.recv(1)
    except TimeoutError:
        return True
    finally:
        speaker.settimeout(10)
    return False


def test_what_is_not_harmed_passes_whole(speaker: socket.socket) -> None:
    words = bytes(range(256)) * 4_000
    threading.Thread(target=speaker.sendall, args=(words,)).start()
    assert heard(speaker, len(words)) == words


def test_a_hang_up_passes_too(speaker: socket.socket, echo: Echo) -> None:
    speaker.close()
    assert echo.hung_up.wait(10)


def test_bytes_arrive_later(speaker: socket.socket, link: Link) -> None:
    link.delay(0.1)
    speaker.sendall(b"late")
    assert hears_nothing(speaker)
    assert heard(speaker, 4) == b"late"


def test_what_is_held_back_on_its_way_there_comes_when_the_link_is_whole(
    speaker: socket.socket, link: Link, echo: Echo
) -> None:
    link.silence("there")
    speaker.sendall(b"held")
    assert hears_nothing(speaker)
    assert echo.got == b"hello"
    link.heal()
    assert heard(speaker, 4) == b"held"


def test_a_reply_is_held_back_although_the_server_got_the_request(speaker: socket.socket, link: Link, echo: Echo) -> None:
    link.silence("back")
    speaker.sendall(b"held")
    assert hears_nothing(speaker)
    assert echo.got == b"helloheld"
    link.heal()
    assert heard(speaker, 4) == b"held"


def test_a_server_behind_silence_does_not_hear_that_its_client_is_gone(speaker: socket.socket, link: Link, echo: Echo) -> None:
    link.silence()
    speaker.close()
    assert not echo.hung_up.wait(0.2)
    link.heal()
    assert echo.hung_up.wait(10)


def test_a_reset_is_heard_at_once_on_both_sides(speaker: socket.socket, link: Link, echo: Echo) -> None:
    link.reset()
    with pytest.raises(ConnectionResetError):
        speaker.recv(1)
    assert echo.hung_up.wait(10)
    connected(link).close()


def test_who_connects_is_refused_until_the_link_is_whole(speaker: socket.socket, link: Link) -> None:
    link.refuse()
    with pytest.raises((ConnectionResetError, AssertionError)):
        connected(link)
    link.heal()
    connected(link).close()


def test_a_message_is_cut_at_the_very_byte(speaker: socket.socket, link: Link, echo: Echo) -> None:
    link.cut_after(3, "there")
    speaker.sendall(b"abcdef")
    assert echo.hung_up.wait(10)
    assert echo.got == b"helloabc"
    with pytest.raises(ConnectionResetError):
        heard(speaker, 6)


def test_a_reply_is_cut_at_the_very_byte(speaker: socket.socket, link: Link, echo: Echo) -> None:
    link.cut_after(3, "back")
    speaker.sendall(b"abcdef")
    assert echo.hung_up.wait(10)
    assert echo.got == b"helloabcdef"


def test_the_reply_to_what_matches_is_swallowed_and_no_other(speaker: socket.socket, link: Link, echo: Echo) -> None:
    link.swallow(b"commit")
    assert said(speaker, b"begin") == b"begin"
    speaker.sendall(b"com")
    assert heard(speaker, 3) == b"com"
    speaker.sendall(b"mit!")
    with pytest.raises(ConnectionResetError):
        heard(speaker, 4)
    assert echo.got == b"hellobegincommit!"
    assert link.swallowed == 1
    with connected(link) as other:
        assert said(other, b"commit") == b"commit"


async def test_a_commit_whose_reply_is_swallowed_has_committed(net: Network, postgres_dsn: str) -> None:
    link = net.to(postgres_dsn)
    connection = await asyncpg.connect(link.url)
    await connection.execute("CREATE TABLE told (word text)")
    link.swallow(b"COMMIT;")
    with pytest.raises(asyncpg.PostgresConnectionError):
        async with connection.transaction():
            await connection.execute("INSERT INTO told VALUES ('yes')")
    looking = await asyncpg.connect(link.url)
    assert await looking.fetchval("SELECT word FROM told") == "yes"
    await looking.close()


async def test_a_script_whose_reply_is_swallowed_has_run(net: Network, redis_url: str) -> None:
    link = net.to(redis_url)
    with redis.Redis.from_url(link.url, retry=None) as client:
        link.swallow(b"EVAL")
        with pytest.raises(redis.ConnectionError):
            await asyncio.to_thread(client.eval, "return redis.call('INCR', KEYS[1])", 1, "told")
        assert client.get("told") == b"1"
