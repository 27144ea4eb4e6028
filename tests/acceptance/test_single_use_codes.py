"""Codes that are good for one claim, under a burst: of a pool whoever comes first, and of users nobody else."""

from tests.acceptance.client import Client
from tests.acceptance.history import Reply
from tests.acceptance.office import PATIENT, code_rows, mint, told, winners

#: Headers that differ between any two answers.
_ITS_OWN = {"date", "x-request-id"}


def as_sent(reply: Reply) -> tuple[int, bytes, frozenset[tuple[str, str]]]:
    """All of an answer that could tell it from another."""
    headers = ((name.lower(), value) for name, value in reply.headers.items())
    return reply.status, reply.raw, frozenset(each for each in headers if each[0] not in _ITS_OWN)


async def test_two_thousand_at_once_share_out_a_pool_of_five_hundred_codes(client: Client) -> None:
    pool = await client.campaign(type="pool", total_limit=None)
    minted = await mint(client, pool, count=500)
    replies = await client.race([client.ask(pool, f"user-{number}") for number in range(2_000)], prefer=PATIENT)
    assert told(replies) == {(201, None): 500, (410, "exhausted"): 1_500}
    given = {taken["code"]: taken["user_id"] for taken in winners(replies)}
    assert given.keys() == set(minted)
    assert {row["code"]: (row["state"], row["claimed_by"]) for row in await code_rows(client, pool)} == {
        code: ("claimed", user) for code, user in given.items()
    }
    proof = await client.proof(pool)
    assert (proof.redemptions, proof.active, proof.users, proof.claimed, proof.budget) == (500,) * 5


async def test_one_code_of_a_pool_has_one_winner(client: Client) -> None:
    pool = await client.campaign(type="pool", total_limit=None)
    wanted, *others = await mint(client, pool, count=20)
    replies = await client.race([client.ask(pool, f"user-{number}", code=wanted) for number in range(20)])
    assert told(replies) == {(201, None): 1, (410, "code_used"): 19}
    [taken] = winners(replies)
    states = {row["code"]: (row["state"], row["claimed_by"]) for row in await code_rows(client, pool)}
    assert states == {wanted: ("claimed", taken["user_id"])} | dict.fromkeys(others, ("unused", None))


async def test_public_and_particular_codes_of_a_pool_together_give_out_each_code_once(client: Client) -> None:
    pool = await client.campaign(type="pool", total_limit=None)
    minted = await mint(client, pool, count=60)
    asks = [client.ask(pool, f"any-{number}") for number in range(60)]
    asks += [client.ask(pool, f"picky-{number}", code=code) for number, code in enumerate(minted)]
    replies = await client.race(asks, prefer=PATIENT)
    assert {reply.code for reply in replies} <= {None, "code_used", "exhausted"}
    # While somebody waited for a code that was gone, their slot was reserved: it is there for those who ask now.
    late = await client.burst([client.ask(pool, f"late-{number}") for number in range(60)])
    given = [taken["code"] for taken in winners([*replies, *late])]
    assert sorted(given) == sorted(minted)
    assert {reply.code for reply in late} <= {None, "exhausted"}


async def test_a_users_code_does_not_exist_for_anybody_else(client: Client) -> None:
    campaign = await client.campaign(type="unique", code=None, total_limit=None)
    names = [f"user-{number}" for number in range(200)]
    codes = await mint(client, campaign, users=[client.user(name) for name in names])
    owners = dict(zip(codes, names, strict=True))
    # Each code is tried by its own user, and before, beside and after by nine others.
    asks = [
        client.ask(campaign, names[(number + step) % 200], code=code, key=f"{code} {step}")
        for step in range(-5, 5)
        for number, code in enumerate(codes)
    ]
    replies = await client.race(asks, prefer=PATIENT)
    mine = [ask.user == client.user(owners[ask.code]) for ask in asks]
    assert told(replies) == {(201, None): 200, (404, "unknown_code"): 1_800}
    assert [reply.status == 201 for reply in replies] == mine
    nowhere = await client.race([client.ask(campaign, "eve", code="NO-SUCH-CODE")])
    assert {as_sent(reply) for reply in replies if reply.status == 404} == {as_sent(nowhere[0])}
    claimed_by = {row["code"]: row["claimed_by"] for row in await code_rows(client, campaign)}
    assert claimed_by == {code: client.user(name) for code, name in owners.items()}


async def test_a_users_code_does_not_exist_for_anybody_else_once_it_is_used(client: Client) -> None:
    campaign = await client.campaign(type="unique", code=None, total_limit=None)
    [code] = await mint(client, campaign, user=client.user("ann"))
    assert (await client.redeem(client.ask(campaign, "ann", code=code))).status == 201
    [tried, nowhere] = await client.race([client.ask(campaign, "eve", code=each) for each in (code, "NO-SUCH-CODE")])
    assert as_sent(tried) == as_sent(nowhere)
    validated = [await client.validate(each, client.user("eve")) for each in (code, "NO-SUCH-CODE")]
    assert as_sent(validated[0]) == as_sent(validated[1])
    assert (await client.redeem(client.ask(campaign, "ann", code=code))).status == 200
