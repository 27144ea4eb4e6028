"""Single-use codes in Postgres: minted, and read out again.

Minting takes long and the partition must not wait for it, so the codes are inserted first and the partition is locked at the
end, to count them: nobody sees a code before its campaign's budget has it. One mints at a time, so that no two wait for each
other's codes. What exists already, in whatever campaign, is left as it is, and another is drawn.
"""

import secrets
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence

import asyncpg
import msgspec

from shared import campaign_reading
from shared.answered import Call, KeyReused, recalled, remember
from shared.book import decided, lock_codes
from shared.campaign_reading import Known
from shared.campaigns import CampaignEnded, CampaignUnknown, Committed, Faulty, write_change
from shared.domain.campaign import CampaignStatus
from shared.domain.draft import Fault
from shared.domain.ids import CampaignId, UserId
from shared.domain.ledger import Kind
from shared.domain.minting import Recipe, bytes_for, code_of, recipe, spellings, too_small
from shared.postgres import Connection, Pool
from shared.slices import lock_slices
from shared.statements import statement

#: Codes drawn and inserted at a time: a few milliseconds of this process, which serves others too.
_AT_A_TIME = 5_000
#: A space that sends us back this often is full of other campaigns' codes.
_ROUNDS = 20
_PAGE_SIZE = 2_000

#: Codes that an answer shows.
MAX_SHOWN = 1_000


class Wish(msgspec.Struct, frozen=True):
    """What is to be minted: a code for each of `intended` (None: for whoever comes first), spelled as asked for."""

    intended: Sequence[UserId | None]
    pattern: str | None = None
    charset: str | None = None
    prefix: str | None = None


class Minted(msgspec.Struct, frozen=True):
    """New codes as they are written, in the order of those they are for, and the campaign that has them now."""

    codes: list[str]
    committed: Committed


class CodesMinted(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many codes were minted; those for users are shown, in the order of the users, if they are at most 1,000."""

    minted: int
    codes: list[str] | None = None


class NothingToMint(msgspec.Struct, frozen=True):
    """The campaign has one code, which everybody types."""


class PatternTooSmall(msgspec.Struct, frozen=True):
    """Among so few possible codes, those that exist would be found by trying."""

    space: int


MintRefused = CampaignUnknown | CampaignEnded | NothingToMint | PatternTooSmall | Faulty | KeyReused


class _Undone(Exception):
    """Carries a refusal out of the transaction, which is rolled back."""

    def __init__(self, refusal: MintRefused) -> None:
        super().__init__()
        self.refusal = refusal


async def mint(
    pool: Pool, campaign_id: CampaignId, wish: Wish, by: UserId, call: Call | None = None
) -> Minted | CodesMinted | MintRefused:
    """Commit new codes, all that are wished for or none. `by` goes into the ledger.

    If `call` was answered before, that answer again.
    """

    async def write(connection: Connection) -> Minted | CodesMinted | KeyReused:
        await lock_codes(connection)
        if before := await recalled(connection, call, CodesMinted):
            return before
        _, made_of = _judged(await campaign_reading.read(connection, campaign_id), wish)
        codes = await _insert(connection, campaign_id, made_of, wish.intended)
        locked = await lock_slices(connection, campaign_id)
        # What was read before the lock may have moved since.
        known, _ = _judged(await campaign_reading.read(connection, campaign_id), wish)
        after = msgspec.structs.replace(known.campaign, minted=known.campaign.minted + len(codes))
        minted = Minted(codes, await write_change(connection, locked, known, after, by, Kind.CODES_MINTED, count=len(codes)))
        await remember(connection, call, told(minted, wish))
        return minted

    try:
        return await decided(pool, write)
    except _Undone as undone:
        return undone.refusal


def told(minted: Minted, wish: Wish) -> CodesMinted:
    """What is answered to a wish that was granted."""
    shown = None not in wish.intended and len(minted.codes) <= MAX_SHOWN
    return CodesMinted(len(minted.codes), minted.codes if shown else None)


async def exported(pool: Pool, campaign_id: CampaignId) -> AsyncIterator[list[asyncpg.Record]]:
    """The campaign's single-use codes, page by page, in the order in which they were minted.

    Each page is a statement of its own (see `code_page.sql`): a slow reader holds neither a connection nor a snapshot.
    """
    last = 0
    while True:
        async with pool.acquire(timeout=5) as connection:
            page = await connection.fetch(statement("code_page"), campaign_id, last, _PAGE_SIZE)
        if not page:
            return
        yield page
        last = page[-1]["code_id"]


def _judged(known: Known | None, wish: Wish) -> tuple[Known, Recipe]:
    if known is None:
        raise _Undone(CampaignUnknown())
    campaign = known.campaign
    if campaign.status is CampaignStatus.ENDED:
        raise _Undone(CampaignEnded())
    if campaign.type == "shared":
        raise _Undone(NothingToMint())
    if campaign.type == "unique" and None in wish.intended:
        raise _Undone(Faulty([Fault("count", "is for pools; name the users that unique codes are for")]))
    made_of = recipe(wish.pattern, wish.charset, wish.prefix, exact=campaign.exact)
    if isinstance(made_of, Fault):
        raise _Undone(Faulty([made_of]))
    if too_small(made_of, campaign.minted + len(wish.intended)):
        raise _Undone(PatternTooSmall(made_of.space))
    return known, made_of


async def _insert(
    connection: Connection, campaign_id: CampaignId, made_of: Recipe, intended: Sequence[UserId | None]
) -> list[str]:
    made: defaultdict[UserId | None, list[str]] = defaultdict(list)
    for start in range(0, len(intended), _AT_A_TIME):
        lacking = Counter(intended[start : start + _AT_A_TIME])
        for _ in range(_ROUNDS):
            rows = await _try(connection, campaign_id, made_of, list(lacking.elements()))
            for user, shown in rows:
                made[user].append(shown)
            lacking -= Counter(user for user, _ in rows)
            if not lacking:
                break
        else:
            raise _Undone(PatternTooSmall(made_of.space))
    return [made[user].pop() for user in intended]


async def _try(
    connection: Connection, campaign_id: CampaignId, made_of: Recipe, users: list[UserId | None]
) -> list[asyncpg.Record]:
    """Insert a code for each user; those that exist already are not inserted."""
    drawn = spellings(made_of, secrets.token_bytes(bytes_for(made_of, len(users))), len(users))
    codes = [code_of(spelled) for spelled in drawn] if made_of.exact else drawn
    spelled = drawn if made_of.exact else [None] * len(drawn)
    return await connection.fetch(statement("insert_codes"), campaign_id, codes, spelled, users[: len(drawn)])
