"""What users ask, every answer they get, and the verdict: whoever was told yes has a row, and hears no refusal afterwards."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from shared.domain.ids import UserId, claim_id

#: Answers that say no for good, as far as this request is concerned. After a success there must be none.
_REFUSALS = (403, 404, 409, 410, 422)


class Reply(msgspec.Struct, frozen=True):
    """An answer, and when it was asked for and came (monotonic)."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]
    began: float
    ended: float
    raw: bytes = b""

    @property
    def code(self) -> str | None:
        """The machine code of a problem."""
        code: str | None = self.body.get("code") if self.status >= 400 else None
        return code


class Ask(msgspec.Struct, frozen=True):
    """What a user asks for; the same ask is the same claim."""

    user: str
    code: str
    key: str
    order: str = "order"
    subtotal: int | None = None

    def body(self) -> bytes:
        body: dict[str, Any] = {"code": self.code, "order_id": self.order}
        if self.subtotal is not None:
            body["subtotal"] = self.subtotal
        return msgspec.json.encode(body)


class History:
    """Every answer that a claim got."""

    def __init__(self) -> None:
        self._answers: defaultdict[Ask, list[Reply]] = defaultdict(list)

    def note(self, ask: Ask, reply: Reply) -> Reply:
        if reply.status in (200, 201) and reply.body["redemption_id"] != str(claim_id(UserId(ask.user), ask.key)):
            # Another claim is shown to nobody but its own user, and only while it is a hold. It is no success of this ask.
            assert (reply.status, reply.body["user_id"], reply.body["state"]) == (200, ask.user, "claimed"), reply
            assert "hold_expires_at" in reply.body, reply
            return reply
        self._answers[ask].append(reply)
        return reply

    def successes(self) -> dict[Ask, set[UUID]]:
        """The redemptions that each ask was told it has; more than one would be a fault."""
        told: defaultdict[Ask, set[UUID]] = defaultdict(set)
        for ask, replies in self._answers.items():
            for reply in replies:
                if reply.status in (200, 201):
                    told[ask].add(UUID(reply.body["redemption_id"]))
        return dict(told)

    async def judge(self, postgres_dsn: str) -> None:
        """No lost ack, nobody doubled, no refusal after a success, and nothing kept from who was refused."""
        verdict = await self.verdict(postgres_dsn)
        assert verdict == Verdict(), verdict

    async def verdict(self, postgres_dsn: str) -> "Verdict":
        """What the answers say, held against what is committed now. Only what is settled can be judged."""
        successes = self.successes()
        claims: defaultdict[UUID, set[tuple[str, str]]] = defaultdict(set)
        for ask, ids in successes.items():
            for redemption in ids:
                claims[redemption].add((ask.user, ask.key))
        refused = self._refused()
        rows = await _redemptions(postgres_dsn, [*claims, *refused])
        return Verdict(
            lost=[ask for ask, ids in successes.items() if any(rows.get(redemption) != ask.user for redemption in ids)],
            doubled=[ask for ask, ids in successes.items() if len(ids) > 1 or self._created(ask) > 1],
            shared=[names for names in claims.values() if len(names) > 1],
            refused_after=[ask for ask in successes if self._refused_after(ask)],
            kept_from=[ask for redemption, ask in refused.items() if redemption in rows],
        )

    def _created(self, ask: Ask) -> int:
        return sum(reply.status == 201 for reply in self._answers[ask])

    def _refused_after(self, ask: Ask) -> bool:
        acknowledged = min(reply.ended for reply in self._answers[ask] if reply.status in (200, 201))
        return any(reply.began > acknowledged and reply.status in _REFUSALS for reply in self._answers[ask])

    def _refused(self) -> dict[UUID, Ask]:
        """Claims whose last word was that nothing is left, and for which nothing else was ever asked."""
        bodies = Counter((ask.user, ask.key) for ask in self._answers)
        last = {ask: max(replies, key=lambda reply: reply.began) for ask, replies in self._answers.items()}
        return {
            claim_id(UserId(ask.user), ask.key): ask
            for ask, reply in last.items()
            if reply.code == "exhausted" and bodies[ask.user, ask.key] == 1
        }


class Verdict(msgspec.Struct, frozen=True):
    """What must not be. `lost`: acknowledged, and not in the database. `doubled`: told of two redemptions, or of one as new
    twice. `shared`: claims that were shown the same redemption. `refused_after`: refused after a success. `kept_from`: told
    at last that nothing is left, with a redemption in the database that nobody knows of.
    """

    lost: list[Ask] = []
    doubled: list[Ask] = []
    shared: list[set[tuple[str, str]]] = []
    refused_after: list[Ask] = []
    kept_from: list[Ask] = []


async def _redemptions(postgres_dsn: str, ids: Sequence[UUID]) -> dict[UUID, str]:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        rows = await connection.fetch("SELECT redemption_id, user_id FROM redemptions WHERE redemption_id = ANY ($1)", ids)
    finally:
        await connection.close()
    return {row["redemption_id"]: row["user_id"] for row in rows}
