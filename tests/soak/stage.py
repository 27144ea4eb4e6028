"""The stack on which the soak plays: its own Postgres, Redis, two front doors, two workers and jobs, and every link harmed at
will. It outlives its scenarios, as a stack in production outlives its accidents."""

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from shutil import rmtree
from urllib.parse import urlsplit

import asyncpg
import msgspec
import psutil

from frontdoor.tokens import ADMIN
from lastslot.embedded import EmbeddedServer
from lastslot.ports import free_port
from lastslot.program import Program
from lastslot.running import Stack
from lastslot.supervisor import Child, Supervisor
from shared.clock import monotonic, utc_now
from shared.domain.ids import PARTITIONS
from shared.migrations.run import migrate
from tests.proxy import Link, Network, network
from tests.servers import embedded_postgres, embedded_redis, running

_SECRET = "a secret of the soak, which nobody has to keep"
_WHOLE_WITHIN_S = 60.0


class Place:
    """Where a process lives, one after the other, with links of its own to both stores. The supervisor starts it again."""

    def __init__(self, stage: "Stage", command: str, name: str) -> None:
        self.postgres: Link = stage.net.to(stage.postgres.url)
        self.redis: Link = stage.net.to(stage.redis.url)
        self.name = name
        self._supervisor = stage.supervisor
        self._program = Program(
            name=name,
            argv=(sys.executable, "-m", "lastslot", command),
            log=stage.directory / f"{name}.log",
            environment=stage.settings | {"LASTSLOT_POSTGRES_DSN": self.postgres.url, "LASTSLOT_REDIS_URL": self.redis.url},
        )
        self._child: Child | None = None
        self._told = False
        self._read, self._shard = 0, ""

    @property
    def armed(self) -> bool:
        """Whether who is here now was told something that it has not come to."""
        return self._told and self._child is not None and self._child.deaths == 0

    @property
    def pid(self) -> int | None:
        """The living process; None while there is none."""
        return None if self._child is None else self._child.pid

    @property
    def shard(self) -> str:
        """What the latest worker here calls itself."""
        with self._program.log.open("rb") as log:
            log.seek(self._read)
            said = log.read()
        said = said[: said.rfind(b"\n") + 1]
        self._read += len(said)
        names = [msgspec.json.decode(line)["shard"] for line in said.splitlines() if b'"shard_started"' in line]
        self._shard = names[-1] if names else self._shard
        return self._shard

    async def replace(self, **told: str) -> None:
        """Stop who is here, in order, and start another, which alone is `told` settings: its heirs are not."""
        await self.stop()
        self._told = bool(told)
        environment = {**self._program.environment, **told}
        self._child = Child(msgspec.structs.replace(self._program, environment=environment), self._supervisor)
        await self._child.start()
        self._child.program = self._program

    async def stop(self) -> None:
        """Stop it in order."""
        if self._child is not None:
            await self._child.stop(15)

    def kill(self) -> None:
        """End it as a power cut would."""
        psutil.Process(self.pid).kill()

    def heal(self) -> None:
        """Let go on what was stopped, and make its links whole."""
        if self.pid is not None:
            psutil.Process(self.pid).resume()
        self.postgres.heal()
        self.redis.heal()


class Stage:
    """Everything that runs, and what has become of it."""

    def __init__(self, directory: Path, postgres: EmbeddedServer, redis: EmbeddedServer, net: Network) -> None:
        self.directory, self.postgres, self.redis, self.net = directory, postgres, redis, net
        self.ended: dict[int, datetime] = {}
        self.supervisor = Supervisor(lambda _: None, self._note_end)
        port = free_port()
        self.settings = {
            "LASTSLOT_JWT_SECRET": _SECRET,
            "LASTSLOT_PORT": str(port),
            "LASTSLOT_ADMIN_PORT": str(free_port()),
            "LASTSLOT_FILTER_DIR": str(directory / "filter"),
            "LASTSLOT_LOG_FORMAT": "json",
            "LASTSLOT_RATE_LIMITS": "off",
        }
        self.door: Link = net.to(f"http://127.0.0.1:{port}")
        direct = (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{self.settings['LASTSLOT_ADMIN_PORT']}")
        stack = Stack(*direct, postgres.url, redis.url, _SECRET, "")
        self.stack = Stack(*direct, postgres.url, redis.url, _SECRET, stack.token("soak", (ADMIN,)))
        self.doors = [Place(self, "frontdoor", f"frontdoor-{number}") for number in (1, 2)]
        self.workers = [Place(self, "worker", f"worker-{number}") for number in (1, 2)]
        self.jobs = Place(self, "jobs", "jobs")

    @property
    def places(self) -> list[Place]:
        """All of them, in the order in which they are started."""
        return [*self.workers, self.jobs, *self.doors]

    def let_go(self) -> None:
        """Let everybody run, and every link pass."""
        self.door.heal()
        for place in self.places:
            place.heal()

    async def heal(self) -> None:
        """Undo whatever a scenario may have left behind, and wait until the stack is whole."""
        self.let_go()
        for place in self.places:
            if place.armed:
                await place.replace()
        await self.whole()

    async def whole(self) -> None:
        """Wait until everything runs, both doors listen, and each worker owns half of the partitions."""
        deadline = monotonic() + _WHOLE_WITHIN_S
        while lack := await self._lack():
            if monotonic() > deadline:
                raise TimeoutError(f"the stack did not become whole: {lack}")
            await asyncio.sleep(0.1)

    async def owners(self) -> dict[int, str]:
        """Which partition is owned by which shard, by leases that are good."""
        connection = await asyncpg.connect(self.postgres.url, timeout=5)
        try:
            rows = await connection.fetch("SELECT partition_no, owner FROM partitions WHERE lease_until > clock_timestamp()")
        finally:
            connection.terminate()
        return dict(map(tuple, rows))

    async def owned_by(self, shards: set[str]) -> list[int]:
        return [partition for partition, owner in (await self.owners()).items() if owner in shards]

    async def death(self, pid: int | None) -> datetime:
        """When this process ended; waits for it to end."""
        while pid is not None and pid not in self.ended:  # noqa: ASYNC110 (it ends in another process)
            await asyncio.sleep(0.01)
        return utc_now() if pid is None else self.ended[pid]

    def _note_end(self, pid: int) -> None:
        self.ended[pid] = utc_now()

    async def _lack(self) -> str:
        """What there is not that should be, in words."""
        if missing := [place.name for place in self.places if place.pid is None]:
            return f"{missing} do not run"
        if deaf := [door.name for door in self.doors if not self._listens(door)]:
            return f"{deaf} do not listen"
        try:
            owned = Counter((await self.owners()).values())
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            return f"Postgres is away: {error!r}"
        if owned != dict.fromkeys((worker.shard for worker in self.workers), PARTITIONS // len(self.workers)):
            return f"{[worker.shard for worker in self.workers]} own {dict(owned)}"
        return ""

    def _listens(self, door: Place) -> bool:
        try:
            links = psutil.Process(door.pid).net_connections("tcp")
        except psutil.Error:
            return False
        port = urlsplit(self.stack.base_url).port
        return any(link.laddr.port == port for link in links if link.status == psutil.CONN_LISTEN)


def _that_bears_full_disks(redis: EmbeddedServer) -> EmbeddedServer:
    """A write beyond the limit for files, by which a disk is made full, fails as on a full disk, and is no signal to die."""
    indifferent = ("/bin/sh", "-c", 'trap "" XFSZ; exec "$@"', "redis", *redis.program.argv)
    redis.program = msgspec.structs.replace(redis.program, argv=indifferent)
    return redis


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A whole stage, and afterwards nothing of it."""
    directory = Path(tempfile.mkdtemp(prefix="lastslot-soak-"))
    try:
        postgres, redis = embedded_postgres(directory), _that_bears_full_disks(embedded_redis(directory))
        with running(postgres), running(redis), network() as net:
            await asyncio.to_thread(migrate, postgres.url)
            made = Stage(directory, postgres, redis, net)
            try:
                for place in made.places:
                    await place.replace()
                await made.whole()
                yield made
            finally:
                for place in reversed(made.places):
                    place.heal()
                await asyncio.gather(*(place.stop() for place in made.places))
    finally:
        rmtree(directory, ignore_errors=True)
