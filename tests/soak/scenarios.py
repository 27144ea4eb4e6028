"""All scenarios, by name."""

from tests.soak.clocks import clocks
from tests.soak.crashes import crashes
from tests.soak.crowds import crowds
from tests.soak.disks import disks
from tests.soak.links import links
from tests.soak.moves import moves
from tests.soak.owners import owners
from tests.soak.releases import releases
from tests.soak.runs import Scenario
from tests.soak.stores import stores

SCENARIOS: tuple[Scenario, ...] = (
    *crashes(),
    *stores(),
    *disks(),
    *owners(),
    *moves(),
    *clocks(),
    *releases(),
    *crowds(),
    *links(),
)
