"""Names of things, as types, and the two names that are computed rather than drawn.

A claim's id is a function of who asks and of the key they chose, so that asking twice is asking once, on
every machine and after every crash. A partition is a function of the campaign, so that everybody who routes
a claim routes it alike.
"""

from hashlib import sha1
from typing import NewType
from uuid import UUID
from zlib import crc32

CampaignId = NewType("CampaignId", UUID)
ClaimId = NewType("ClaimId", UUID)
UserId = NewType("UserId", str)
PartitionNo = NewType("PartitionNo", int)
ShardId = NewType("ShardId", str)
DoorId = NewType("DoorId", str)
Incarnation = NewType("Incarnation", str)

PARTITIONS = 16
MAX_USER_LENGTH = 256

_CLAIMS = UUID("6f0c9d8e-52a5-5b0c-9a53-0d6d9b8a6a11").bytes


def user_of(name: str) -> UserId | None:
    """The user of this name; None when it cannot be one, being empty, over-long, or nothing that Postgres could store."""
    if not 0 < len(name) <= MAX_USER_LENGTH or "\0" in name:
        return None
    if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
        return None
    return UserId(name)


def claim_id(user: UserId, idempotency_key: str) -> ClaimId:
    """The id of the claim that `user` means by `idempotency_key`: uuid5(uuid5(NS, user), key).

    Nested, because one uuid5 of "user:key" would make user `a` with key `b:c` the same as user `a:b` with key `c`.
    """
    return ClaimId(UUID(bytes=_uuid5(_uuid5(_CLAIMS, user), idempotency_key)))


def home_partition(campaign: CampaignId) -> PartitionNo:
    """The partition in which a new campaign's slice is created."""
    return PartitionNo(crc32(campaign.bytes) % PARTITIONS)


def user_mark(user: UserId) -> int:
    """32 bits that stand for a user in a certificate's set; a collision costs one trip to the gate, never an answer."""
    return crc32(user.encode())


def _uuid5(namespace: bytes, name: str) -> bytes:
    """The bytes of a name's UUID (RFC 9562, section 5.5): the library's own takes four times as long, twice for each claim."""
    named = bytearray(sha1(namespace + name.encode(), usedforsecurity=False).digest()[:16])
    named[6] = named[6] & 0x0F | 0x50
    named[8] = named[8] & 0x3F | 0x80
    return bytes(named)
