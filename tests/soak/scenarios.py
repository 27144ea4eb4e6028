"""All scenarios, by name."""

from tests.soak.accidents import accidents
from tests.soak.crashes import crashes
from tests.soak.links import links
from tests.soak.runs import Scenario

SCENARIOS: tuple[Scenario, ...] = (*crashes(), *accidents(), *links())
