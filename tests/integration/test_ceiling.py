"""The bare group commit writes what the engine writes, and what it did not write does not count."""

from urllib.parse import urlsplit

import asyncpg
import pytest

from lastslot.running import Stack
from loadtest.ceiling import BATCH, ceiling
from loadtest.trial import Wrong
from shared.audit import audit


@pytest.fixture
def stack(dsn: str) -> Stack:
    """A stack of which only the Postgres is there."""
    return Stack("", "", dsn, "", "", "")


async def test_every_claim_is_in_the_database_with_its_story(stack: Stack) -> None:
    people = 2 * BATCH + 10
    async with ceiling(stack) as committing:
        measured = await committing.measure(people, "one")
        await committing.measure(5, "two")
    proof = await audit(urlsplit(stack.postgres_dsn)._replace(path="/ceiling").geturl())
    assert proof.clean
    assert proof.redemptions == people + 5
    assert measured.per_second == pytest.approx(people / measured.seconds)


async def test_a_commit_that_wrote_too_little_is_wrong(stack: Stack) -> None:
    async with ceiling(stack) as committing:
        own = await asyncpg.connect(urlsplit(stack.postgres_dsn)._replace(path="/ceiling").geturl())
        try:
            # Every claim after the third is refused, as if its campaign had run out.
            await own.execute(
                "CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.budget = 3; RETURN NEW; END'"
            )
            await own.execute("ALTER TABLE campaign_slices DISABLE TRIGGER budgets_make_the_limit")
            await own.execute("CREATE TRIGGER few BEFORE INSERT ON campaign_slices FOR EACH ROW EXECUTE FUNCTION few()")
        finally:
            await own.close()
        with pytest.raises(Wrong):
            await committing.measure(10, "short")
