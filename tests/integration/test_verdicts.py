"""The judge of histories finds each thing that must not be."""

from typing import Any
from uuid import uuid4

from claim_workers.consumer import Stores
from shared.domain.ids import UserId, claim_id
from tests.acceptance.history import Ask, History, Reply, Verdict
from tests.integration.engine import Owner, claim_of, home, launch


async def committed(stores: Stores, user: str = "a") -> Ask:
    """What this user asked for and has."""
    campaign = await launch(stores.pool, 2)
    owner = await Owner.of(stores.pool, stores.redis, home(campaign))
    await owner.settler.seed([campaign.campaign_id], owner.cursor)
    await owner.ask((campaign, claim_of(campaign, user)))
    await owner.turn()
    return Ask(user, campaign.code or "", "k")


def said(ask: Ask, status: int, at: float, code: str | None = None, **body: Any) -> Reply:
    """An answer that was asked for at that moment, and came at once."""
    claim = str(claim_id(UserId(ask.user), ask.key))
    story = {"code": code} if status >= 400 else {"redemption_id": claim, "user_id": ask.user, **body}
    return Reply(status, story, {}, at, at + 0.1)


async def verdict(dsn: str, ask: Ask, *replies: Reply) -> Verdict:
    history = History()
    for reply in replies:
        history.note(ask, reply)
    return await history.verdict(dsn)


async def test_a_success_that_is_there_is_right(stores: Stores, dsn: str) -> None:
    ask = await committed(stores)
    right = (said(ask, 503, 0), said(ask, 410, 1, "exhausted"), said(ask, 201, 2), said(ask, 200, 3))
    assert await verdict(dsn, ask, *right) == Verdict()


async def test_a_success_that_is_not_there_is_lost(stores: Stores, dsn: str) -> None:
    ask = Ask("a", "CODE", "k")
    assert await verdict(dsn, ask, said(ask, 201, 0)) == Verdict(lost=[ask])


async def test_a_success_of_somebody_else_is_lost(stores: Stores, dsn: str) -> None:
    ask = await committed(stores)
    await stores.pool.execute("ALTER TABLE redemptions DISABLE TRIGGER USER")
    await stores.pool.execute("UPDATE redemptions SET user_id = $1", str(uuid4()))
    assert await verdict(dsn, ask, said(ask, 201, 0)) == Verdict(lost=[ask])


async def test_who_is_told_twice_that_it_is_new_is_doubled(stores: Stores, dsn: str) -> None:
    ask = await committed(stores)
    assert await verdict(dsn, ask, said(ask, 201, 0), said(ask, 201, 1)) == Verdict(doubled=[ask])


async def test_a_refusal_after_a_success_is_wrong_and_one_that_was_under_way_is_not(stores: Stores, dsn: str) -> None:
    ask = await committed(stores)
    assert await verdict(dsn, ask, said(ask, 201, 1), said(ask, 410, 1.05, "exhausted"), said(ask, 200, 2)) == Verdict()
    later = (said(ask, 201, 1), said(ask, 410, 2, "exhausted"), said(ask, 200, 3))
    assert await verdict(dsn, ask, *later) == Verdict(refused_after=[ask])


async def test_who_was_refused_at_last_and_has_a_redemption_is_kept_from_it(stores: Stores, dsn: str) -> None:
    ask = await committed(stores)
    assert await verdict(dsn, ask, said(ask, 503, 0), said(ask, 410, 1, "exhausted")) == Verdict(kept_from=[ask])
