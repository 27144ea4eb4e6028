"""TCP ports of loopback: which are free."""

import socket

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


def check_port(port: int) -> None:
    """Raise PortTaken when it cannot be had. Front doors share one with each other, so none of them would notice."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortTaken(f"port {port} cannot be used ({error.strerror}); choose another one with --port") from None
