"""One burst as it went: who heard what, when, and when what they won was on the disk."""

import time
from collections.abc import Sequence

import asyncpg

from lastslot.burst import Answer, fire
from loadtest.contestants import Contestant
from loadtest.records import Taken, Timeline
from loadtest.trial import HOST, Trial, check
from shared.clock import monotonic

SLICE_S = 0.02

#: The last ledger row of each batch: nothing is nearer to its COMMIT that is kept.
_COMMITS = """
SELECT max(extract(epoch FROM l.at))::float8 AS at, count(*) AS claims
FROM redemptions r
JOIN ledger l ON l.redemption_id = r.redemption_id AND l.kind = 'claimed'
WHERE r.code = $1
GROUP BY r.claimed_at
ORDER BY 1
"""


async def timeline(contestant: Contestant, trial: Trial, dsn: str, taken: Taken) -> Timeline:
    """Fire the trial once more, and watch. Raises Wrong."""
    answers = await fire(HOST, contestant.port, trial.requests, trial.connections)
    await check(contestant, trial, answers)
    began = min(answer.started for answer in answers)
    # Postgres tells wall-clock time, on the same machine.
    began_at = time.time() - (monotonic() - began)
    ended = max(answer.started + answer.seconds for answer in answers)
    slices = int((ended - began) / SLICE_S) + 1
    return Timeline(
        taken=taken,
        slice_s=SLICE_S,
        won=_heard(answers, 201, began, slices),
        sold_out=_heard(answers, 410, began, slices),
        commits=[(at - began_at, claims) for at, claims in await _commits(dsn, trial.code)],
    )


def _heard(answers: Sequence[Answer], status: int, began: float, slices: int) -> list[int]:
    heard = [0] * slices
    for answer in answers:
        if answer.status == status:
            heard[int((answer.started + answer.seconds - began) / SLICE_S)] += 1
    return heard


async def _commits(dsn: str, code: str) -> list[tuple[float, int]]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(_COMMITS, code)
    finally:
        await connection.close()
    return [(row["at"], row["claims"]) for row in rows]
