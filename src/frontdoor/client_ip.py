"""Where a request came from: what the connection says, or, behind proxies of our own, what the outermost of them says.

Each proxy appends whom it was asked by to X-Forwarded-For, so only as many entries as there are trusted proxies, counted from
the right, were written by who can be believed. Whatever stands further left was sent by the caller, and is not looked at.
"""

from functools import lru_cache
from ipaddress import ip_address

from multidict import CIMultiDict, CIMultiDictProxy


def client_ip(peer: str, headers: CIMultiDict[str] | CIMultiDictProxy[str], trusted_proxies: int) -> str:
    """The address of who sent `headers` over a connection from `peer`.

    It is the peer's own when no proxy is trusted, and when there are fewer entries than proxies, or no address where one has
    to be: then the request did not come as it should, and only the connection is certain.
    """
    if trusted_proxies == 0:
        return peer
    entries = ",".join(headers.getall("X-Forwarded-For", ())).split(",")
    if len(entries) < trusted_proxies:
        return peer
    return _address(entries[-trusted_proxies]) or peer


@lru_cache(maxsize=10_000)
def _address(entry: str) -> str | None:
    """The address in an entry such as `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::1` or `[2001:db8::1]:4711`."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        # What a zone is called says nothing of who asked, and may be any text.
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None
