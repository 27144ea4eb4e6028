"""Calls of administrators that came with an Idempotency-Key: done once, however often they are sent.

What a call was answered is written in the transaction that did its work, so a reply that was lost is had by asking again. Read
and write it under the lock on making codes, for which calls of the same key then wait.
"""

from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID, uuid5

import msgspec

from shared.domain.ids import UserId
from shared.postgres import Connection
from shared.statements import statement

T = TypeVar("T")

_CALLS = UUID("0b6d1c1e-8f1f-5f0e-9a3c-5f2f4a1f7e52")


class Call(msgspec.Struct, frozen=True):
    """A call that is to be done once, and what it asked for."""

    call_id: UUID
    body_hash: bytes


class KeyReused(msgspec.Struct, frozen=True):
    """The key was used for another body."""


def call_of(by: UserId, path: str, key: str, body: Any) -> Call:
    """What `by` means by `key` at `path`. Nested like a claim's id, so that no two can be taken for each other."""
    return Call(uuid5(uuid5(uuid5(_CALLS, by), path), key), sha256(msgspec.json.encode(body)).digest())


async def recalled(connection: Connection, call: Call | None, type_: type[T]) -> T | KeyReused | None:
    """What the call was answered before; None when it was not."""
    row = None if call is None else await connection.fetchrow(statement("answered_call"), call.call_id)
    if row is None or call is None:
        return None
    return msgspec.json.decode(row["answer"], type=type_) if row["body_hash"] == call.body_hash else KeyReused()


async def remember(connection: Connection, call: Call | None, answer: Any) -> None:
    """Write down what the call is answered; a call without a key is forgotten."""
    if call is not None:
        told = msgspec.json.encode(answer).decode()
        await connection.execute(statement("remember_call"), call.call_id, call.body_hash, told)
