"""The database re-checks what the code promises: nothing that a bug could write breaks what must always hold."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from lastslot.embedded import EmbeddedServer
from shared.domain.ledger import GENESIS
from shared.domain.redemption import TRANSITIONS, Redemption, State, Step
from shared.postgres import Connection, close_pool, open_pool
from tests.servers import fresh_database

NOW = datetime(2026, 11, 27, tzinfo=UTC)
CAMPAIGN = UUID(int=1)

#: A row of each state that means what the state says; `released` needs a reason of its own.
WHOLE: dict[State, dict[str, Any]] = {
    State.CLAIMED: {},
    State.REDEEMED: {"redeemed_at": NOW},
    State.RELEASED: {"released_at": NOW, "released_reason": "failure"},
}


@pytest.fixture(scope="module")
def database(session_postgres: EmbeddedServer) -> Iterator[str]:
    with fresh_database(session_postgres.url) as dsn:
        yield dsn


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    """Inside a transaction that is rolled back: these tests are many and small, and share one database."""
    pool = await open_pool(database, 1)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        await transaction.rollback()
    await close_pool(pool)


@asynccontextmanager
async def refused(connection: Connection, error: type[Exception], match: str | None = None) -> AsyncIterator[None]:
    """The block fails in Postgres, and the test's transaction goes on."""
    with pytest.raises(error, match=match):
        async with connection.transaction():
            yield


async def insert(connection: Connection, **values: Any) -> UUID:
    """A redemption that is whole but for what is given."""
    row = {
        "redemption_id": uuid4(),
        "campaign_id": CAMPAIGN,
        "slice_no": 0,
        "code_id": 1,
        "code": "CODE",
        "user_id": "ann",
        "use_no": 1,
        "user_limit": 3,
        "order_id": "order",
        "discount_applied": {"type": "percent", "value": 10, "currency": None, "subtotal": None, "amount": None},
        "idempotency_key": "key",
        "body_hash": b"0123456789abcdef",
        "state": "claimed",
        "claimed_at": NOW,
        **values,
    }
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO redemptions ({', '.join(row)}) VALUES ({places})", *row.values())
    redemption_id: UUID = row["redemption_id"]
    return redemption_id


async def test_the_database_knows_the_transitions_of_the_code(connection: Connection) -> None:
    rows = await connection.fetch("SELECT from_state, step, to_state FROM redemption_transitions")
    assert {tuple(row) for row in rows} == {(state, step, reached) for (state, step), reached in TRANSITIONS.items()}


@pytest.mark.parametrize("state", list(State))
async def test_a_row_of_each_state_is_accepted_as_the_state_means_it(connection: Connection, state: State) -> None:
    await insert(connection, state=state, **WHOLE[state])


HALF: list[tuple[str, dict[str, Any]]] = [
    ("claimed", {"redeemed_at": NOW}),
    ("claimed", {"released_at": NOW, "released_reason": "failure"}),
    ("claimed", {"released_reason": "failure"}),
    ("redeemed", {}),
    ("redeemed", {"redeemed_at": NOW, "released_at": NOW, "released_reason": "refund"}),
    ("released", {}),
    ("released", {"released_at": NOW}),
    ("released", {"released_reason": "failure"}),
    ("expired", {}),
    ("", {}),
    ("CLAIMED", {}),
]


@pytest.mark.parametrize(("state", "values"), HALF)
async def test_a_row_that_its_state_does_not_mean_is_refused(
    connection: Connection, state: str, values: dict[str, Any]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="state_is_whole"):
        await insert(connection, state=state, **values)


def legal(before: State, after: State, reason: str | None) -> bool:
    """Whether TRANSITIONS has this step; the reason of a release is the step that led to it."""
    steps = [step for step in Step if TRANSITIONS.get((before, step)) is after]
    return bool(steps) if reason is None else reason in steps


MOVES = [
    (before, after, reason)
    for before, after in product(State, State)
    if before is not after
    for reason in (["failure", "refund", "expiry", "confirm", "whim"] if after is State.RELEASED else [None])
]


@pytest.mark.parametrize(("before", "after", "reason"), MOVES)
async def test_a_redemption_moves_as_the_table_says_and_no_other_way(
    connection: Connection, before: State, after: State, reason: str | None
) -> None:
    redemption = await insert(connection, state=before, **WHOLE[before])
    move = connection.execute(
        "UPDATE redemptions SET state = $2, redeemed_at = coalesce(redeemed_at, $3), released_at = $4, released_reason = $5 "
        "WHERE redemption_id = $1",
        redemption,
        after,
        WHOLE[after].get("redeemed_at"),
        WHOLE[after].get("released_at"),
        reason,
    )
    if legal(before, after, reason):
        await move
        return
    async with refused(connection, asyncpg.CheckViolationError):
        await move
    assert await connection.fetchval("SELECT state FROM redemptions") == before


async def test_some_moves_are_legal_and_most_are_not() -> None:
    assert sum(legal(*move) for move in MOVES) == len(TRANSITIONS)


async def test_a_slice_gives_its_budget_and_not_one_more(connection: Connection) -> None:
    await insert_slice(connection, budget=2)
    await connection.execute("UPDATE campaign_slices SET claimed = 2")
    with pytest.raises(asyncpg.CheckViolationError, match="no_over_issue"):
        await connection.execute("UPDATE campaign_slices SET claimed = claimed + 1")


async def test_a_slice_without_a_budget_gives_any_number(connection: Connection) -> None:
    await insert_slice(connection, budget=None)
    await connection.execute("UPDATE campaign_slices SET claimed = 1000000000000")


async def test_a_slice_spends_its_amount_and_no_more(connection: Connection) -> None:
    await insert_slice(connection, budget=2)
    with pytest.raises(asyncpg.CheckViolationError, match="no_overspend"):
        await connection.execute("UPDATE campaign_slices SET amount_budget = 100, amount_claimed = 101")


@pytest.mark.parametrize("column", ["budget", "claimed", "amount_budget", "amount_claimed"])
async def test_nothing_of_a_slice_is_negative(connection: Connection, column: str) -> None:
    await insert_slice(connection, budget=2)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(f"UPDATE campaign_slices SET {column} = -1")


async def insert_slice(connection: Connection, budget: int | None) -> None:
    await insert_campaign(connection)
    await connection.execute(
        "INSERT INTO campaign_slices (campaign_id, slice_no, partition_no, budget) VALUES ($1, 0, 0, $2)", CAMPAIGN, budget
    )


async def insert_campaign(connection: Connection, **values: Any) -> None:
    row = {"starts_at": None, "ends_at": None, "total_limit": 2, "per_user_limit": 1, "status": "active", **values}
    await connection.execute(
        "INSERT INTO campaigns (campaign_id, name, type, code, discount, timezone, starts_at, ends_at, total_limit, "
        "per_user_limit, status) VALUES ($1, '', 'shared', 'CODE', '{}', 'UTC', $2, $3, $4, $5, $6)",
        CAMPAIGN,
        *row.values(),
    )


@pytest.mark.parametrize(
    "values",
    [
        {"starts_at": NOW, "ends_at": NOW},
        {"total_limit": -1},
        {"per_user_limit": 0},
        {"status": "forgotten"},
    ],
)
async def test_a_campaign_that_could_never_work_is_refused(connection: Connection, values: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await insert_campaign(connection, **values)


async def test_one_use_of_a_user_is_held_once(connection: Connection) -> None:
    await insert(connection)
    with pytest.raises(asyncpg.UniqueViolationError, match="one_claim_per_use"):
        await insert(connection)


async def test_a_released_use_may_be_held_again(connection: Connection) -> None:
    await insert(connection, state=State.RELEASED, **WHOLE[State.RELEASED])
    await insert(connection)


async def test_a_redeemed_use_stays_held(connection: Connection) -> None:
    await insert(connection, state=State.REDEEMED, **WHOLE[State.REDEEMED])
    with pytest.raises(asyncpg.UniqueViolationError, match="one_claim_per_use"):
        await insert(connection)


@pytest.mark.parametrize("other", [{"use_no": 2}, {"user_id": "bob"}, {"campaign_id": UUID(int=2)}])
async def test_another_use_user_or_campaign_is_another_slot(connection: Connection, other: dict[str, Any]) -> None:
    await insert(connection)
    await insert(connection, **other)


@pytest.mark.parametrize("use_no", [0, 4, -1])
async def test_a_use_is_within_the_users_limit(connection: Connection, use_no: int) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="use_within_limit"):
        await insert(connection, use_no=use_no)


async def test_one_claim_is_one_redemption(connection: Connection) -> None:
    claim = await insert(connection)
    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(connection, redemption_id=claim, user_id="bob")


async def test_a_code_is_never_given_to_a_second_campaign(connection: Connection) -> None:
    await connection.execute("INSERT INTO codes (campaign_id, code) VALUES ($1, 'ONCE')", CAMPAIGN)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("INSERT INTO codes (campaign_id, code) VALUES ($1, 'ONCE')", UUID(int=2))


async def append_row(connection: Connection, seq: int = 1) -> None:
    await connection.execute(
        "INSERT INTO ledger (partition_no, seq, kind, payload, prev_hash, hash) VALUES (0, $1, 'claimed', '{}', $2, $2)",
        seq,
        GENESIS,
    )


@pytest.mark.parametrize(
    "rewriting",
    [
        "UPDATE ledger SET payload = 'other'",
        "UPDATE ledger SET at = now()",
        "UPDATE ledger SET seq = 2 WHERE false",
        "DELETE FROM ledger",
        "TRUNCATE ledger",
        "INSERT INTO ledger SELECT * FROM ledger ON CONFLICT (partition_no, seq) DO UPDATE SET payload = 'other'",
    ],
)
async def test_the_ledger_is_append_only(connection: Connection, rewriting: str) -> None:
    await append_row(connection)
    async with refused(connection, asyncpg.CheckViolationError, match="append-only"):
        await connection.execute(rewriting)
    assert await connection.fetchval("SELECT payload FROM ledger") == "{}"


async def test_a_place_in_the_ledger_is_taken_once(connection: Connection) -> None:
    await append_row(connection)
    await append_row(connection, seq=2)
    with pytest.raises(asyncpg.UniqueViolationError):
        await append_row(connection, seq=2)


@pytest.mark.parametrize("state", list(State))
async def test_the_document_of_a_redemption_is_the_redemption_of_the_code(connection: Connection, state: State) -> None:
    redemption = await insert(connection, state=state, **WHOLE[state])
    text = await connection.fetchval("SELECT redemption_document(r)::text FROM redemptions r")
    assert set(msgspec.json.decode(text)) == set(Redemption.__struct_fields__)
    read = msgspec.json.decode(text, type=Redemption)
    assert (read.redemption_id, read.state, read.body_hash) == (redemption, state, b"0123456789abcdef")
    assert read.claimed_at == NOW
    assert read.redeemed_at == WHOLE[state].get("redeemed_at")
    assert read.released_at == WHOLE[state].get("released_at")
