"""What grows, one small module each: campaigns, codes, redemptions, and the processes that serve them.

Slices are not among them: a campaign has one.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from loadtest.growths import campaigns, codes, redemptions, servers
from loadtest.growths.rounds import Size
from loadtest.records import Growth

Grow: TypeAlias = Callable[[Size], Awaitable[Growth]]

GROWTHS: Mapping[str, Grow] = {
    "campaigns": campaigns.grow,
    "codes": codes.grow,
    "redemptions": redemptions.grow,
    "shards": servers.grow_shards,
    "frontdoors": servers.grow_frontdoors,
}
