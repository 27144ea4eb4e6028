"""Look-ups share a round trip, and nobody waits for ever."""

import asyncio

import pytest

from frontdoor.microbatch import MicroBatch


class Store:
    """Knows the square of every number but zero, and how often it was asked for what."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.called, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def load(self, keys: list[int]) -> dict[int, int]:
        self.calls.append(keys)
        self.called.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {key: key * key for key in keys if key}


@pytest.fixture
def store() -> Store:
    return Store()


async def test_what_is_asked_in_one_turn_of_the_loop_shares_a_call(store: Store) -> None:
    batch = MicroBatch(store.load)
    assert await asyncio.gather(*(batch.get(key) for key in (1, 2, 3))) == [1, 4, 9]
    assert store.calls == [[1, 2, 3]]


async def test_what_gathers_while_a_call_is_under_way_goes_with_the_next(store: Store) -> None:
    batch = MicroBatch(store.load)
    store.gate.clear()
    first = asyncio.create_task(batch.get(1))
    await store.called.wait()
    later = [asyncio.create_task(batch.get(key)) for key in (2, 3)]
    await asyncio.sleep(0)
    store.gate.set()
    assert await asyncio.gather(first, *later) == [1, 4, 9]
    assert store.calls == [[1], [2, 3]]


async def test_a_key_that_is_asked_while_it_is_loaded_is_loaded_again(store: Store) -> None:
    """Who asks now must not be answered from before."""
    batch = MicroBatch(store.load)
    store.gate.clear()
    first = asyncio.create_task(batch.get(1))
    await store.called.wait()
    second = asyncio.create_task(batch.get(1))
    await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(first, second)
    assert store.calls == [[1], [1]]


async def test_a_key_that_is_asked_twice_at_once_is_looked_up_once(store: Store) -> None:
    batch = MicroBatch(store.load)
    assert await asyncio.gather(*(batch.get(2) for _ in range(2))) == [4, 4]
    assert store.calls == [[2]]


async def test_what_there_is_not_is_none(store: Store) -> None:
    assert await MicroBatch(store.load).get(0) is None


async def test_no_call_carries_more_than_the_most(store: Store) -> None:
    batch = MicroBatch(store.load, most=2)
    await asyncio.gather(*(batch.get(key) for key in range(5)))
    assert [len(call) for call in store.calls] == [2, 2, 1]


async def test_a_call_that_breaks_breaks_all_it_was_for_and_no_later_one(store: Store) -> None:
    batch = MicroBatch(store.load, most=2)
    store.error = ZeroDivisionError()
    answers = await asyncio.gather(*(batch.get(key) for key in (1, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ZeroDivisionError] * 2
    store.error = None
    assert await batch.get(1) == 1


async def test_who_is_behind_a_call_that_got_no_answer_does_not_wait_for_the_same_silence(store: Store) -> None:
    batch = MicroBatch(store.load, most=2)
    store.error = TimeoutError()
    store.gate.clear()
    first = asyncio.create_task(batch.get(1))
    await store.called.wait()
    later = [asyncio.create_task(batch.get(key)) for key in (1, 2, 3, 4)]
    await asyncio.sleep(0)
    store.gate.set()
    answers = await asyncio.gather(first, *later, return_exceptions=True)
    assert [type(answer) for answer in answers] == [TimeoutError] * 5
    assert store.calls == [[1]]
    store.error = None
    assert await batch.get(1) == 1


async def test_who_goes_away_takes_no_neighbour_along(store: Store) -> None:
    batch = MicroBatch(store.load)
    store.gate.clear()
    leaving, staying = asyncio.create_task(batch.get(2)), asyncio.create_task(batch.get(2))
    await store.called.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    store.gate.set()
    assert await staying == 4
    assert await batch.get(3) == 9
