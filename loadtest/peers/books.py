"""The peers' own database, beside Lastslot's on the same server."""

from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import msgspec

DISCOUNT = '{"type":"amount","value":1000,"currency":"EUR"}'


class Books(msgspec.Struct, frozen=True):
    """What a campaign's rows say."""

    redemptions: int
    users: int
    claimed: int


async def empty_database(dsn: str, name: str) -> str:
    """Make a database beside the one that `dsn` names, without any table, and give its DSN."""
    server = await asyncpg.connect(dsn)
    try:
        await server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await server.execute(f'CREATE DATABASE "{name}"')
    finally:
        await server.close()
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


async def create_database(dsn: str, name: str) -> str:
    """Make a database of its own for a peer, with the peers' tables, and give its DSN."""
    own_dsn = await empty_database(dsn, name)
    own = await asyncpg.connect(own_dsn)
    try:
        await own.execute(Path(__file__).with_name("schema.sql").read_text())
    finally:
        await own.close()
    return own_dsn


async def open_campaign(dsn: str, code: str, slots: int) -> UUID:
    """A new campaign with this code."""
    campaign_id = uuid4()
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("INSERT INTO campaigns VALUES ($1, $2, $3)", campaign_id, code, slots)
    finally:
        await connection.close()
    return campaign_id


async def read_books(dsn: str, code: str) -> Books:
    """The truth about a campaign after a burst."""
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(
            "SELECT count(r.*) AS redemptions, count(DISTINCT r.user_id) AS users, c.claimed"
            " FROM campaigns c LEFT JOIN redemptions r USING (campaign_id) WHERE c.code = $1 GROUP BY c.claimed",
            code,
        )
    finally:
        await connection.close()
    return Books(**dict(row or {}))
