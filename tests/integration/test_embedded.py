"""The embedded servers on directories of their own: what they promise, what they survive, whom they run as."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from lastslot.embedded import ServerFailed, postgres_server
from tests.servers import PASSWORD, embedded_postgres, embedded_redis, running


@pytest.fixture
def room(server_directory: Path) -> Iterator[Path]:
    """A directory of the test's own that the servers' account can reach."""
    directory = Path(tempfile.mkdtemp(dir=server_directory))
    yield directory
    shutil.rmtree(directory)


def test_postgres_promises_what_an_acknowledgement_needs(room: Path) -> None:
    with running(embedded_postgres(room)) as server, psycopg.connect(server.url) as connection:
        shown = {
            name: _shown(connection, name) for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")
        }
    assert shown == {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": "127.0.0.1"}


def test_redis_keeps_everything_it_is_given(room: Path) -> None:
    with running(embedded_redis(room)) as server, redis.Redis.from_url(server.url, decode_responses=True) as client:
        shown = {name: client.config_get(name)[name] for name in ("appendonly", "appendfsync", "save", "maxmemory-policy")}
    assert shown == {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction"}


def test_nobody_enters_without_the_password(room: Path) -> None:
    with running(embedded_postgres(room)) as postgres, running(embedded_redis(room)) as cache:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres.url.replace(PASSWORD, "guessed"))
        with redis.Redis.from_url(cache.url.replace(PASSWORD, "guessed")) as client, pytest.raises(redis.AuthenticationError):
            client.ping()


def test_what_was_committed_is_there_after_a_power_cut(room: Path) -> None:
    server = embedded_postgres(room)
    server.start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    family = psutil.Process(server.pid).children()
    server.kill()
    psutil.wait_procs(family, timeout=10)
    with running(embedded_postgres(room)) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_what_redis_was_given_is_there_after_a_restart(room: Path) -> None:
    for number in (1, 2):
        with running(embedded_redis(room)) as server, redis.Redis.from_url(server.url) as client:
            assert client.incr("lives") == number


def test_a_cluster_that_was_cut_short_is_made_anew(room: Path) -> None:
    unfinished = room / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")
    with running(embedded_postgres(room)) as server, psycopg.connect(server.url):
        pass
    assert not unfinished.exists()


def test_what_an_earlier_life_left_running_is_found_and_stopped(room: Path) -> None:
    for make in (embedded_postgres, embedded_redis):
        left = make(room)
        left.start()
        assert make(room).end_orphan() == left.pid
        left.stop()
        assert make(room).end_orphan() is None


def test_a_server_whose_end_somebody_else_waited_for_is_started_again(room: Path) -> None:
    with running(embedded_redis(room)) as server:
        ended = psutil.Process(server.pid)
        ended.kill()
        ended.wait(10)
        # A child whose end we have not seen would be warned of when it is forgotten here, and a warning is an error.
        server.start()
        assert server.pid != ended.pid


def test_a_stranger_with_the_number_of_an_earlier_life_is_left_alone(room: Path) -> None:
    server = embedded_postgres(room)
    (room / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert server.orphan() is None


def test_a_server_that_cannot_come_up_says_why(room: Path) -> None:
    with running(embedded_postgres(room)) as server:
        taken = int(server.url.rpartition(":")[2].split("/")[0])
        second = postgres_server(room / "second", "another", room / "second.log", port=taken)
        with pytest.raises(ServerFailed, match="Address already in use"):
            second.start()


def test_ctrl_c_in_the_terminal_is_for_us_and_not_for_the_servers(room: Path) -> None:
    with running(embedded_redis(room)) as server:
        assert os.getpgid(server.pid) != os.getpgid(0)
        assert server.program.stop_signal == signal.SIGTERM


def _shown(connection: psycopg.Connection[tuple[str]], name: str) -> str:
    row = connection.execute(f"SHOW {name}").fetchone()
    assert row is not None
    return row[0]
