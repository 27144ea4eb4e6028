"""The textbook design by somebody who knows what a hot row costs: the winner's transaction is one statement.

The counter's row is then locked from the statement to its own commit, and no round trip through a busy event loop lies between.
"""

from uuid import UUID

from loadtest.peers.books import DISCOUNT
from loadtest.peers.doors import Claim
from loadtest.peers.textbook import main
from shared.postgres import Connection

_WRITE = """
WITH campaign AS (
    UPDATE campaigns SET claimed = claimed + 1 WHERE code = $2 RETURNING campaign_id
), attempt AS (
    INSERT INTO redemption_attempts (code, user_id, result) VALUES ($2, $3, 'won')
)
INSERT INTO redemptions (redemption_id, campaign_id, code, user_id, order_id, discount_applied, idempotency_key)
SELECT $1, campaign_id, $2, $3, $4, $5, $6 FROM campaign
"""


async def write_in_one_statement(connection: Connection, redemption_id: UUID, claim: Claim) -> None:
    await connection.execute(_WRITE, redemption_id, claim.code, claim.user, claim.order_id, DISCOUNT, claim.key)


if __name__ == "__main__":
    main(write_in_one_statement)
