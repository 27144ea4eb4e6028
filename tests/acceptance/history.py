"""What users ask, every answer they get, and the verdict: whoever was told yes has a row, and hears no refusal afterwards."""

from collections import defaultdict
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
        """No lost ack, nobody doubled, no refusal after a success."""
        successes = self.successes()
        assert [ask for ask, ids in successes.items() if len(ids) > 1] == []
        claims: defaultdict[UUID, set[tuple[str, str]]] = defaultdict(set)
        for ask, [redemption] in successes.items():
            claims[redemption].add((ask.user, ask.key))
        assert [names for names in claims.values() if len(names) > 1] == [], "one redemption was shown to two claims"
        rows = await _redemptions(postgres_dsn, list(claims))
        lost = [ask for ask, [redemption] in successes.items() if rows.get(redemption) != ask.user]
        assert lost == [], "an acknowledged claim is not in the database"
        for ask in successes:
            self._judge_order(ask)

    def _judge_order(self, ask: Ask) -> None:
        replies = self._answers[ask]
        acknowledged = min(reply.ended for reply in replies if reply.status in (200, 201))
        later = [reply for reply in replies if reply.began > acknowledged and reply.status in _REFUSALS]
        assert later == [], f"{ask} was refused after its success"
        assert sum(reply.status == 201 for reply in replies) <= 1, f"{ask} was created twice"


async def _redemptions(postgres_dsn: str, ids: Sequence[UUID]) -> dict[UUID, str]:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        rows = await connection.fetch("SELECT redemption_id, user_id FROM redemptions WHERE redemption_id = ANY ($1)", ids)
    finally:
        await connection.close()
    return {row["redemption_id"]: row["user_id"] for row in rows}
