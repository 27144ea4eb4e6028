"""Two minutes of the soak: as many of its scenarios as fit, drawn anew each time. `make soak` has more time."""

import secrets

from tests.soak import table
from tests.soak.__main__ import soak
from tests.soak.scenarios import SCENARIOS

#: With what it takes to start, and to end the last scenario, two minutes.
_SECONDS = 85.0


async def test_what_breaks_costs_nothing_but_time() -> None:
    seed = secrets.randbelow(10**9)
    results = await soak(_SECONDS, seed, [scenario for scenario in SCENARIOS if scenario.brief])
    assert [result for result in results if not result.clean] == [], f"seed {seed}"
    print(table.table(results, [scenario.name for scenario in SCENARIOS], seed))


def test_scenarios_are_told_apart_by_their_names() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
