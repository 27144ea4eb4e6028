"""`lastslot up`: everything on one machine, supervised, until it is told to stop.

Started: Postgres and Redis (unless others are named), migrations, workers and jobs, front doors. Stopped: the other way
round, so that nothing loses what it leans on. What a stack keeps lives in its data directory and is picked up by the next.
"""

import asyncio
import shutil
import signal
import sys
from pathlib import Path

import msgspec
from prometheus_client.multiprocess import mark_process_dead

from frontdoor.tokens import ADMIN
from lastslot.banner import USER, banner
from lastslot.campaign_office import office_of
from lastslot.datadir import held, secrets_of, tell_stack
from lastslot.embedded import EmbeddedServer, postgres_server, redis_server
from lastslot.ports import HOST, kept_ports
from lastslot.program import Program
from lastslot.readiness import StartFailed, until_ready
from lastslot.running import Stack
from lastslot.sample import ensure_sample
from lastslot.stores import postgres_fault, redis_fault
from lastslot.supervisor import Child, Supervisor
from shared.migrations.run import migrate

#: More than a front door takes to finish what it holds, and than a shard takes for its batch.
_GRACE_S = 15.0
_TOKEN_TTL_S = 30 * 86_400


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller of `up` asked for; a DSN or URL that is not given means an embedded server.

    Port 0 is any free one; without an admin port it is the next one.
    """

    port: int
    admin_port: int | None
    data_dir: Path
    frontdoors: int
    workers: int
    postgres_dsn: str | None
    redis_url: str | None
    jwt_audience: str | None
    jwt_issuer: str | None


def up(wish: Wish) -> None:
    """Serve until SIGINT or SIGTERM; a second signal hurries. Raises LastslotError when it cannot."""
    with held(wish.data_dir), kept_ports(wish.port, wish.admin_port) as (port, admin_port):
        asyncio.run(_Up(msgspec.structs.replace(wish, port=port, admin_port=admin_port)).serve())


class _Up:
    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._directory = wish.data_dir.resolve()
        self._secrets = secrets_of(self._directory)
        self._logs = self._directory / "logs"
        self._metrics = self._directory / "metrics"
        self._stopping = asyncio.Event()
        self._supervisor = Supervisor(_say, self._forget_process)

    async def serve(self) -> None:
        """Bring everything up, wait to be told to stop, and bring it down, however far it had come."""
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, self._told_to_stop)
        bringing_up = asyncio.create_task(self._bring_up())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((bringing_up, stopping), return_when=asyncio.FIRST_COMPLETED)
            if bringing_up.done():
                bringing_up.result()
                await stopping
        finally:
            bringing_up.cancel()
            stopping.cancel()
            await asyncio.gather(bringing_up, stopping, return_exceptions=True)
            await self._supervisor.stop(_GRACE_S)

    def _told_to_stop(self) -> None:
        if self._stopping.is_set():
            self._supervisor.hurry.set()
            return
        _say("stopping; a second signal hurries")
        self._stopping.set()

    async def _bring_up(self) -> None:
        self._logs.mkdir(exist_ok=True)
        shutil.rmtree(self._metrics, ignore_errors=True)
        self._metrics.mkdir()
        dsn, redis_url = await self._stores()
        await asyncio.to_thread(migrate, dsn)
        stack = self._stack(dsn, redis_url)
        doors = await self._start_lastslot(stack)
        await until_ready(stack, doors, self._supervisor.children)
        campaign_id = await ensure_sample(office_of(stack))
        tell_stack(self._directory, stack)
        token = stack.token(USER, ttl_s=_TOKEN_TTL_S)
        print(banner(stack, self._wish.data_dir, token, campaign_id))
        print(f"ready {stack.base_url}", flush=True)

    async def _stores(self) -> tuple[str, str]:
        dsn, redis_url = self._wish.postgres_dsn, self._wish.redis_url
        if dsn is not None and (fault := await asyncio.to_thread(postgres_fault, dsn)):
            raise StartFailed(f"the database of --postgres-dsn cannot be used: {fault}")
        if redis_url is not None and (fault := await asyncio.to_thread(redis_fault, redis_url)):
            raise StartFailed(f"the Redis of --redis-url cannot be used: {fault}")
        if dsn is None:
            place, log = self._directory / "postgres", self._logs / "postgres.log"
            dsn = await self._start_server(
                await asyncio.to_thread(postgres_server, place, self._secrets.postgres_password, log)
            )
        if redis_url is None:
            place, log = self._directory / "redis", self._logs / "redis.log"
            redis_url = await self._start_server(redis_server(place, self._secrets.redis_password, log))
        return dsn, redis_url

    async def _start_server(self, server: EmbeddedServer) -> str:
        orphan = await asyncio.to_thread(server.end_orphan)
        if orphan is not None:
            _say(f"stopped the {server.program.name} (pid {orphan}) that an earlier run had left on this data directory")
        [child] = await self._supervisor.start([server.program])
        await asyncio.to_thread(server.wait_until_ready, lambda: child.deaths == 0 and not self._stopping.is_set())
        return server.url

    async def _start_lastslot(self, stack: Stack) -> list[Child]:
        environment = {
            "LASTSLOT_POSTGRES_DSN": stack.postgres_dsn,
            "LASTSLOT_REDIS_URL": stack.redis_url,
            "LASTSLOT_JWT_SECRET": stack.jwt_secret,
            "LASTSLOT_HOST": HOST,
            "LASTSLOT_PORT": str(self._wish.port),
            "LASTSLOT_FILTER_DIR": str(self._directory / "filter"),
            "LASTSLOT_ADMIN_HOST": HOST,
            "LASTSLOT_ADMIN_PORT": str(self._wish.admin_port),
            "PROMETHEUS_MULTIPROC_DIR": str(self._metrics),
        }
        named = {"LASTSLOT_JWT_AUDIENCE": stack.jwt_audience, "LASTSLOT_JWT_ISSUER": stack.jwt_issuer}
        environment |= {name: value for name, value in named.items() if value is not None}

        def programs(command: str, count: int) -> list[Program]:
            argv = (sys.executable, "-m", "lastslot", command)
            names = [f"{command}-{number}" for number in range(1, count + 1)]
            return [Program(name=name, argv=argv, log=self._logs / f"{name}.log", environment=environment) for name in names]

        await self._supervisor.start(programs("worker", self._wish.workers) + programs("jobs", 1))
        return await self._supervisor.start(programs("frontdoor", self._wish.frontdoors))

    def _stack(self, dsn: str, redis_url: str) -> Stack:
        base_url, admin_url = (f"http://{HOST}:{port}" for port in (self._wish.port, self._wish.admin_port))
        named = self._wish.jwt_audience, self._wish.jwt_issuer
        stack = Stack(base_url, admin_url, dsn, redis_url, self._secrets.jwt_secret, "", *named)
        admin_token = stack.token("lastslot-admin", (ADMIN,), ttl_s=_TOKEN_TTL_S)
        return msgspec.structs.replace(stack, admin_token=admin_token)

    def _forget_process(self, pid: int) -> None:
        # The gauges of the dead would be summed with those of the living.
        mark_process_dead(pid, str(self._metrics))  # type: ignore[no-untyped-call]


def _say(sentence: str) -> None:
    print(f"lastslot: {sentence}", file=sys.stderr, flush=True)
