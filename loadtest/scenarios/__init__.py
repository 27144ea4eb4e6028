"""The benchmarks, one small module each. A module says what is sent to whom, and what must have come of it."""

from loadtest.scenarios import all_win, bogus, burst, sold_out, validate
from loadtest.trial import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (burst.SCENARIO, all_win.SCENARIO, sold_out.SCENARIO, bogus.SCENARIO, validate.SCENARIO)
}
