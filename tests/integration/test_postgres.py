"""What a server must promise is asked of every connection, whenever it is made."""

import pytest

from shared.errors import DurabilityOff
from shared.postgres import NO_ANSWER, Pool


async def test_every_connection_is_durable_and_not_only_the_first(pool: Pool) -> None:
    database = await pool.fetchval("SELECT current_database()")
    async with pool.acquire() as first:
        await first.execute(f'ALTER DATABASE "{database}" SET synchronous_commit = off')
        with pytest.raises(DurabilityOff) as refused:
            await pool.fetchval("SELECT 1")
        assert await first.fetchval("SHOW synchronous_commit") == "on"
        await first.execute(f'ALTER DATABASE "{database}" RESET synchronous_commit')
        assert await pool.fetchval("SELECT 1") == 1
    # Whoever is served by the pool waits, and asks again: the server may be put right.
    assert isinstance(refused.value, NO_ANSWER)
