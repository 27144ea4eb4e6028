"""A front door's filter of codes: what it lacks is certain, whatever happens to the door, the log and the stores."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from frontdoor import issued_codes
from frontdoor.code_filter import CodeFilter
from shared import clock, code_log, codes
from shared.codes import Minted, Wish
from shared.domain.campaign import Campaign
from shared.domain.code import Code
from shared.domain.ids import DoorId, UserId
from shared.postgres import Connection, Pool, for_a_look
from tests.integration.engine import launch, until

NOWHERE = Code("NO-SUCH-CODE")
_names = itertools.count(1)


async def mint(pool: Pool, campaign: Campaign, count: int = 1) -> list[Code]:
    made = await codes.mint(pool, campaign.campaign_id, Wish([None] * count), UserId("admin"))
    assert isinstance(made, Minted)
    return [Code(code) for code in made.codes]


async def a_pool_of_codes(pool: Pool) -> Campaign:
    return await launch(pool, None, type="pool")


@asynccontextmanager
async def following(pool: Pool, directory: Path | None = None) -> AsyncIterator[CodeFilter]:
    """A door's filter that has caught up."""
    followed = CodeFilter(DoorId(f"door-{next(_names)}"), pool, None if directory is None else str(directory))
    task = asyncio.create_task(followed.keep_following())
    try:
        await until(lambda: holds(lambda: followed.trusted))
        yield followed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await followed.leave()


async def holds(condition: Callable[[], object]) -> object:
    return condition()


async def test_a_door_knows_the_codes_of_before_it_came_and_lacks_the_others(pool: Pool) -> None:
    campaign = await a_pool_of_codes(pool)
    minted = await mint(pool, campaign, 5_000)
    async with following(pool) as door:
        assert not any(door._issued.lack(code) for code in [*minted, Code(campaign.code or "")])
        strangers = sum(door._issued.lack(Code(f"STRANGER-{number}")) for number in range(10_000))
        assert strangers > 9_980


async def test_a_thousand_mints_are_known_at_every_door_when_they_are_reported(pool: Pool) -> None:
    campaign = await a_pool_of_codes(pool)
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(following(pool)) for _ in range(3)]
        for _ in range(50):
            minted = [code for codes in await asyncio.gather(*(mint(pool, campaign) for _ in range(20))) for code in codes]
            for door in doors:
                door.hear()
            await code_log.known_everywhere(pool)
            assert not any(door.lacks(code) for door in doors for code in minted)
        for door in doors:
            await until(lambda door=door: holds(lambda: door.lacks(NOWHERE)))  # type: ignore[misc]


async def test_without_the_bell_codes_are_known_before_the_door_is_given_up(pool: Pool) -> None:
    campaign = await a_pool_of_codes(pool)
    async with following(pool) as door:
        [code] = await mint(pool, campaign)
        assert door.lacks(code)
        began = clock.monotonic()
        await code_log.known_everywhere(pool)
        assert not door.lacks(code)
        assert clock.monotonic() - began < 2.0


async def test_a_public_code_is_in_the_log_like_minted_ones(pool: Pool) -> None:
    async with following(pool) as door:
        campaign = await launch(pool)
        door.hear()
        await code_log.known_everywhere(pool)
        assert not door.lacks(Code(campaign.code or ""))


async def test_a_frozen_door_is_waited_for_until_its_word_runs_out_and_then_answers_for_nothing(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await a_pool_of_codes(pool)
    async with following(pool) as door:
        answering = asyncio.Event()
        turn = door._turn

        async def stuck() -> bool:
            await answering.wait()
            return await turn()

        monkeypatch.setattr(door, "_turn", stuck)
        [code] = await mint(pool, campaign)
        began = clock.monotonic()
        await code_log.known_everywhere(pool)
        assert code_log.TTL_S - 1.5 < clock.monotonic() - began < code_log.TTL_S + 0.5
        assert not door.trusted
        assert not door.lacks(code)
        assert not door.lacks(NOWHERE)
        answering.set()
        await until(lambda: holds(lambda: door.trusted))
        assert not door.lacks(code)
        assert door.lacks(NOWHERE)


async def test_a_door_whose_postgres_is_away_does_not_tell_apart_which_codes_exist(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with following(pool) as door:
        assert door.lacks(NOWHERE)
        turn = door._turn

        async def away() -> bool:
            raise ConnectionRefusedError

        monkeypatch.setattr(door, "_turn", away)
        door.hear()
        # Sooner than its word runs out.
        await until(lambda: holds(lambda: not door.lacks(NOWHERE)), within_s=code_log.TTL_S - 1)
        monkeypatch.setattr(door, "_turn", turn)
        await until(lambda: holds(lambda: door.lacks(NOWHERE)))


async def test_a_door_that_died_a_while_ago_is_not_waited_for(pool: Pool) -> None:
    campaign = await a_pool_of_codes(pool)
    await pool.execute("INSERT INTO doors VALUES ('died', 0, clock_timestamp())")
    await mint(pool, campaign)
    async with asyncio.timeout(code_log.TTL_S / 2):
        await code_log.known_everywhere(pool)


async def test_a_clock_that_was_set_back_has_nobody_wait_longer(pool: Pool) -> None:
    campaign = await a_pool_of_codes(pool)
    said = "INSERT INTO doors VALUES ('died-before-it-was', 0, clock_timestamp() + interval '1 hour')"
    await pool.execute(said)
    await mint(pool, campaign)
    async with asyncio.timeout(code_log.TTL_S + 2.0):
        await code_log.known_everywhere(pool)


async def test_a_door_that_left_is_not_waited_for(pool: Pool) -> None:
    campaign = await a_pool_of_codes(pool)
    async with following(pool) as door:
        pass
    assert not door.lacks(NOWHERE)
    await mint(pool, campaign)
    began = clock.monotonic()
    await code_log.known_everywhere(pool)
    assert clock.monotonic() - began < 0.5


async def test_codes_of_a_mint_between_a_doors_first_look_and_its_name_on_the_list_are_known_before_it_answers(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await a_pool_of_codes(pool)
    door = CodeFilter(DoorId("late"), pool)
    say_seen, minted = door._say_seen, []

    async def mint_first() -> None:
        # Nobody waits for the door yet.
        minted.extend(await mint(pool, campaign))
        await code_log.known_everywhere(pool)
        await say_seen()

    monkeypatch.setattr(door, "_say_seen", mint_first)
    await door._turn()
    assert door.trusted
    assert not door.lacks(minted[0])


async def test_a_door_whose_log_was_rolled_back_begins_anew(pool: Pool) -> None:
    campaign = await a_pool_of_codes(pool)
    async with following(pool) as door:
        await mint(pool, campaign)
        door.hear()
        await code_log.known_everywhere(pool)
        # The database is restored to the moment before, and the position, and the next, are given to other codes.
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("DELETE FROM codes WHERE state = 'unused'")
            await connection.execute("DELETE FROM code_log WHERE position = (SELECT position FROM code_log_head)")
            await connection.execute("UPDATE code_log_head SET position = position - 1")
            for other in ("OTHER", "ANOTHER"):
                await connection.execute("INSERT INTO codes (campaign_id, code) VALUES (gen_random_uuid(), $1)", other)
        door.hear()
        await until(lambda: holds(lambda: door.trusted and not door.lacks(Code("OTHER"))))


async def test_a_log_that_was_rolled_back_is_noticed_before_the_door_says_that_it_knows_it(pool: Pool) -> None:
    campaign = await a_pool_of_codes(pool)
    async with following(pool) as door:
        await pool.execute("UPDATE code_log SET mark = gen_random_uuid() WHERE position = (SELECT position FROM code_log_head)")
        with pytest.raises(issued_codes.LogLost):
            await door._say_seen()
    assert campaign


async def test_positions_are_seen_in_their_order_whoever_commits_first(pool: Pool) -> None:
    insert = "INSERT INTO codes (campaign_id, code) VALUES (gen_random_uuid(), $1)"
    async with pool.acquire() as slow, pool.acquire() as fast:
        begun = slow.transaction()
        await begun.start()
        await slow.execute(insert, "FIRST")
        second = asyncio.create_task(fast.execute(insert, "SECOND"))
        await until(lambda: pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        assert await pool.fetchval("SELECT max(position) FROM code_log") == 0
        await begun.commit()
        await second
    assert [row["position"] for row in await pool.fetch("SELECT position FROM code_log ORDER BY 1")] == [0, 1, 2]


async def test_more_codes_than_there_is_room_for_get_more_room(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issued_codes, "_ROOM", 25_000)
    campaign = await a_pool_of_codes(pool)
    async with following(pool) as door:
        minted = await mint(pool, campaign, 30_000)
        door.hear()
        await code_log.known_everywhere(pool)
        minted += await mint(pool, campaign, 30_000)
        door.hear()
        await code_log.known_everywhere(pool)
        await until(lambda: holds(lambda: door.trusted))
        assert not any(door._issued.lack(code) for code in minted)
        assert sum(door._issued.lack(Code(f"STRANGER-{number}")) for number in range(10_000)) > 9_950


async def test_reading_that_fails_again_and_again_takes_no_more_room(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issued_codes, "_ROOM", 25_000)
    campaign, issued = await a_pool_of_codes(pool), issued_codes.IssuedCodes()
    first = await mint(pool, campaign)
    await issued.catch_up(pool)
    minted = await mint(pool, campaign, 5_000)
    turns = itertools.count()

    @asynccontextmanager
    async def interrupted(pool: Pool) -> AsyncIterator[Connection]:
        if next(turns) % 4 == 3:
            raise TimeoutError
        async with for_a_look(pool) as connection:
            yield connection

    with monkeypatch.context() as patch:
        patch.setattr(issued_codes, "for_a_look", interrupted)
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await issued.catch_up(pool)
            assert not issued.lack(first[0])
    await issued.catch_up(pool)
    assert not any(issued.lack(code) for code in first + minted)
    assert (issued.added, len(issued._filters)) == (5_002, 1)
