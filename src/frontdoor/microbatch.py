"""Look-ups that share a round trip: what gathers while one call is under way goes with the next."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class MicroBatch(Generic[K, V]):
    """Turns `load`, which looks up many keys at once, into a look-up of one that shares calls with its neighbours.

    No timers: a batch is what was asked in the same turn of the loop, or while the last call was under way. `load` is to end
    in time; whoever gathered while it waited in vain hears of the same silence, rather than find out for himself.
    """

    def __init__(self, load: Callable[[list[K]], Awaitable[Mapping[K, V]]], most: int = 500) -> None:
        self._load = load
        self._most = most
        self._asked: dict[K, asyncio.Future[V | None]] = {}
        self._loading: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """The value of `key`, None when there is none. Raises what `load` raises."""
        future = self._asked.get(key)
        if future is None:
            future = self._asked[key] = asyncio.get_running_loop().create_future()
        if self._loading is None:
            self._loading = asyncio.create_task(self._drain())
        return await asyncio.shield(future)

    async def _drain(self) -> None:
        while self._asked:
            batch = {key: self._asked.pop(key) for key in list(self._asked)[: self._most]}
            try:
                found = await self._load(list(batch))
            except TimeoutError as error:
                behind, self._asked = self._asked, {}
                _fail([*batch.values(), *behind.values()], error)
                continue
            except Exception as error:
                _fail(batch.values(), error)
                continue
            for key, future in batch.items():
                future.set_result(found.get(key))
        self._loading = None


def _fail(futures: Iterable[asyncio.Future[V | None]], error: Exception) -> None:
    for future in futures:
        future.set_exception(error)
        future.exception()  # It is raised where the future is awaited; nobody may be left to do so.
