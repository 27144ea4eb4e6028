"""TCP ports of loopback: which are free, and keeping them until our front doors have them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from shared.errors import LastslotError

HOST = "127.0.0.1"


class PortTaken(LastslotError):
    """Somebody else has the port."""


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def kept_ports(port: int, admin_port: int | None) -> Iterator[tuple[int, int]]:
    """The port for shoppers and that for administrators, kept for our front doors. Raises PortTaken.

    0 is any free one. No admin port means the one after `port`, or any free one when that is taken; it may be the same.
    """
    with ExitStack() as kept:
        public = _keep(kept, port, "--port")
        if admin_port is None:
            yield public, _keep_next(kept, public)
        elif admin_port == public:
            yield public, public
        else:
            yield public, _keep(kept, admin_port, "--admin-port")


def _keep_next(kept: ExitStack, port: int) -> int:
    try:
        return _keep(kept, port + 1, "--admin-port")
    except (PortTaken, OverflowError):
        return _keep(kept, 0, "--admin-port")


def _keep(kept: ExitStack, port: int, option: str) -> int:
    keeper = kept.enter_context(socket.socket())
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        keeper.bind((HOST, port))
    except OSError as error:
        raise PortTaken(f"port {port} cannot be used ({error.strerror}); choose another one with {option}") from None
    # Only now: asked before, it would let us share the port with another stack. Bound, it is nobody's but our front doors'.
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound: int = keeper.getsockname()[1]
    return bound
