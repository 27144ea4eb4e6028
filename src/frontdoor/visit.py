"""A call of the coupons as it came in, by whichever way: past the wicket, or through aiohttp."""

import msgspec
from multidict import CIMultiDictProxy


class Visit(msgspec.Struct, frozen=True, gc=False):
    """What was sent, from which address (see `client_ip`), and when.

    `arrived_at` is in seconds of the event loop, which all that is timed by it is measured in.
    """

    headers: CIMultiDictProxy[str]
    body: bytes
    ip: str
    arrived_at: float
