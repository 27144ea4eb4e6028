"""`lastslot up` with real processes: what it prints, what it leaves behind, what it picks up again."""

import asyncio
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
import pytest

from frontdoor.tokens import issue
from lastslot.ports import free_port
from lastslot.running import address
from tests.acceptance.upping import Up, gone, serving, until

#: A stack of one process of each kind, which does where nothing is said of more.
SMALL = ("--frontdoors", "1", "--workers", "1")


@pytest.fixture(scope="module")
def up(server_directory: Path) -> Iterator[Up]:
    """A stack that the tests of this file share, as long as they leave it serving."""
    with serving(Path(tempfile.mkdtemp(dir=server_directory))) as up:
        yield up


@pytest.fixture
def alone(server_directory: Path) -> Path:
    """A directory for a stack of the test's own."""
    return Path(tempfile.mkdtemp(dir=server_directory))


async def test_the_lines_of_the_banner_work_as_they_stand(up: Up) -> None:
    lines = [shlex.split(line) for line in up.printed.splitlines() if line.strip().startswith("curl ")]
    validated, redeemed, campaign = [await _curl(line) for line in lines]
    assert validated["valid"] is True
    assert redeemed["state"] == "claimed"
    assert campaign["claimed"] == 1
    assert (await _curl(lines[1]))["claim_id"] == redeemed["claim_id"]


async def test_ready_is_said_once_and_the_stack_file_is_for_its_owner_only(up: Up) -> None:
    assert up.printed.count("ready http://") == up.printed.count(f"\nready http://127.0.0.1:{up.port}\n") == 1
    assert stat.S_IMODE((up.data_dir / "stack.json").stat().st_mode) == 0o600
    assert await _status(f"{up.stack().base_url}/healthz") == 200
    assert await _status(f"{up.stack().admin_url}/readyz") == 200


def test_every_process_counts_into_the_same_metrics(up: Up) -> None:
    living = {str(child.pid) for child in up.children()}
    counted = {path.stem.rpartition("_")[2] for path in (up.data_dir / "metrics").iterdir()}
    assert counted <= living
    assert {str(up.child("frontdoor").pid), str(up.child("worker").pid)} <= counted


def test_a_second_up_on_the_directory_says_who_holds_it(up: Up) -> None:
    second = Up(up.data_dir.parent)
    assert second.process.wait(30) == 1
    assert f"is held by another `lastslot up` (pid {up.process.pid})" in second.printed
    assert "Traceback" not in second.printed
    assert up.process.poll() is None


def test_a_taken_port_is_named_with_what_to_do(alone: Path) -> None:
    with socket.socket() as taken:
        up = Up(alone)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", up.port))
        taken.listen()
        assert up.process.wait(30) == 1
    assert f"port {up.port} cannot be used (Address already in use); choose another one with --port" in up.printed


@pytest.fixture(scope="module")
def named(server_directory: Path) -> Iterator[Up]:
    """A stack of one door and one worker, with one port for both sides, whose tokens are for its name."""
    port = str(free_port())
    flags = ("--port", port, "--admin-port", port, "--jwt-audience", "coupons", "--jwt-issuer", "us", *SMALL)
    with serving(Path(tempfile.mkdtemp(dir=server_directory)), *flags) as up:
        yield up


async def test_a_stack_may_have_a_name_that_its_tokens_are_for(named: Up) -> None:
    stack = named.stack()
    orders = f"{stack.base_url}/api/v1/orders/1/redemptions"
    assert await _status(orders, {"Authorization": f"Bearer {stack.token('usr_7')}"}) == 200
    assert await _status(orders, {"Authorization": f"Bearer {issue(stack.jwt_secret, 'usr_7')}"}) == 401


async def test_one_port_may_serve_both_sides(named: Up) -> None:
    stack = named.stack()
    assert stack.base_url == stack.admin_url
    assert (await _campaigns(named, "WELCOME10"))[0]["claimed"] == 0
    assert (await _redeem(named, "usr_7", "key-7"))[0] == 201
    assert (await _campaigns(named, "WELCOME10"))[0]["claimed"] == 1


async def test_a_killed_worker_is_started_again_and_that_is_said(up: Up) -> None:
    worker = up.child("worker")
    worker.send_signal(signal.SIGKILL)
    until(lambda: f"(pid {worker.pid}) was killed by signal 9" in up.printed and "was started again" in up.printed)
    assert (await _redeem(up, "usr_after_a_worker", "key-1"))[0] == 201
    assert not list((up.data_dir / "metrics").glob(f"gauge_live*_{worker.pid}.db"))


async def test_a_killed_postgres_is_started_again_with_what_it_had_acknowledged(up: Up) -> None:
    status, before = await _redeem(up, "usr_before_the_crash", "key-1")
    assert status == 201
    up.child("-D").send_signal(signal.SIGKILL)
    until(lambda: "postgres was started again" in up.printed)
    status, after = await _redeem(up, "usr_before_the_crash", "key-1", until_status=200)
    assert (status, after["claim_id"]) == (200, before["claim_id"])


def test_verify_proves_a_running_stack(up: Up) -> None:
    done = _lastslot("verify", "--data-dir", str(up.data_dir))
    assert done.returncode == 0, done.stderr
    assert "every invariant holds" in done.stdout


async def test_a_token_that_is_printed_is_one_that_opens(up: Up) -> None:
    done = _lastslot("token", "--user", "usr_ops", "--scope", "admin", "--data-dir", str(up.data_dir))
    headers = {"Authorization": f"Bearer {done.stdout.splitlines()[-1]}"}
    assert await _status(f"{up.stack().admin_url}/api/v1/campaigns", headers) == 200


async def test_what_is_for_administrators_is_served_at_their_port_alone(up: Up) -> None:
    stack = up.stack()
    headers = {"Authorization": f"Bearer {stack.admin_token}"}
    for path in ("/api/v1/campaigns", "/api/v1/segments", "/metrics"):
        assert await _problem(f"{stack.base_url}{path}", headers) == (404, "not_found")
        assert await _status(f"{stack.admin_url}{path}", headers) == 200
    assert await _problem(f"{stack.admin_url}/api/v1/orders/1/redemptions", headers) == (404, "not_found")
    for url in (stack.base_url, stack.admin_url):
        for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/problems/not_found"):
            assert await _status(f"{url}{path}") == 200


async def test_every_front_door_serves_both_ports(up: Up) -> None:
    ports = {up.port, address(up.stack().admin_url)[1]}
    for door in (child for child in up.process.children() if child.cmdline()[-1] == "frontdoor"):
        until(partial(listens, door, ports), within_s=5)


def listens(process: psutil.Process, ports: set[int]) -> bool:
    """Whether it listens on these ports alone. The kernel's table may lack lines while connections come and go."""
    return {link.laddr.port for link in process.net_connections("tcp") if link.status == psutil.CONN_LISTEN} == ports


async def test_what_was_claimed_is_there_in_the_next_life_whether_the_one_before_was_stopped_or_killed(alone: Path) -> None:
    with serving(alone, *SMALL) as first:
        _, claim = await _redeem(first, "usr_7", "key-7")
        family, secret = first.children(), first.stack().jwt_secret
        assert first.stop() == 0
        assert gone(family)
    with serving(alone, *SMALL) as second:
        await goes_on(second, claim, secret)
        family = second.children()
        second.process.kill()
        second.process.wait()
        until(lambda: gone(family), within_s=15)
    with serving(alone, *SMALL) as third:
        await goes_on(third, claim, secret)


async def goes_on(up: Up, claim: dict[str, Any], secret: str) -> None:
    assert up.stack().jwt_secret == secret
    status, again = await _redeem(up, "usr_7", "key-7")
    assert (status, again["claim_id"]) == (200, claim["claim_id"])
    assert (await _campaigns(up, "WELCOME10"))[0]["claimed"] == 1


def test_a_setting_that_is_wrong_ends_it_with_the_reason_and_nothing_running(alone: Path) -> None:
    up = Up(alone, environment={"LASTSLOT_LEASE_TTL_S": "soon"})
    until(lambda: up.process.poll() is not None)
    assert up.process.wait() == 1
    assert "LASTSLOT_LEASE_TTL_S" in up.printed
    assert "Traceback" not in up.printed


def test_a_second_signal_hurries(up: Up) -> None:
    """The last test of the stack that they share, for it ends it."""
    family = up.children()
    up.child("frontdoor").suspend()
    up.process.send_signal(signal.SIGINT)
    until(lambda: "a second signal hurries" in up.printed)
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(10) == 0
    assert gone(family)


def _lastslot(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    return subprocess.run(
        [sys.executable, "-m", "lastslot", *words], capture_output=True, text=True, check=False, env=environment
    )


async def _curl(words: list[str]) -> dict[str, Any]:
    """What `curl -s URL [-H …] [-d …]` would print."""
    url = words[2]
    options = list(zip(words[3::2], words[4::2], strict=True))
    headers = dict(value.split(": ", 1) for option, value in options if option == "-H")
    data = next((value for option, value in options if option == "-d"), None)
    async with aiohttp.request("GET" if data is None else "POST", url, headers=headers, data=data) as response:
        answer: dict[str, Any] = msgspec.json.decode(await response.read())
        return answer


async def _status(url: str, headers: dict[str, str] | None = None) -> int:
    async with aiohttp.request("GET", url, headers=headers) as response:
        return response.status


async def _problem(url: str, headers: dict[str, str]) -> tuple[int, str]:
    async with aiohttp.request("GET", url, headers=headers) as response:
        return response.status, (await response.json(content_type="application/problem+json"))["code"]


async def _campaigns(up: Up, code: str) -> list[dict[str, Any]]:
    stack = up.stack()
    headers = {"Authorization": f"Bearer {stack.admin_token}"}
    async with aiohttp.request("GET", f"{stack.admin_url}/api/v1/campaigns?code={code}", headers=headers) as response:
        found: list[dict[str, Any]] = (await response.json())["campaigns"]
        return found


async def _redeem(up: Up, user: str, key: str, until_status: int | None = None) -> tuple[int, dict[str, Any]]:
    """Redeem the sample's code; a 503, a 202 or no answer at all is asked again, as a client would."""
    stack = up.stack()
    headers = {"Authorization": f"Bearer {stack.token(user)}", "Idempotency-Key": key, "Prefer": "wait=10"}
    body = {"code": "WELCOME10", "order_id": f"order-{user}"}
    async with asyncio.timeout(30), aiohttp.ClientSession(headers=headers) as session:
        while True:
            try:
                async with session.post(f"{stack.base_url}/api/v1/coupons/redeem", json=body) as response:
                    settled = response.status not in (202, 503) if until_status is None else response.status == until_status
                    if settled:
                        return response.status, await response.json(content_type=None)
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
