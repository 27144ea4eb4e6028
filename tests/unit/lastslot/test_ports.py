"""The ports of a stack: had or refused at once, and nobody else's from then on."""

import socket
from contextlib import suppress

import pytest

from lastslot.ports import HOST, PortTaken, free_port, kept_ports


def listener(port: int, *options: int) -> socket.socket:
    opened = socket.socket()
    for option in options:
        opened.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        opened.bind((HOST, port))
    except OSError:
        opened.close()
        raise
    opened.listen()
    return opened


def port_with_a_free_next() -> int:
    """Below those that the kernel gives to clients: one of them may come and go with any connection of this machine."""
    for port in range(20_000, 32_000, 2):
        with suppress(OSError), listener(port), listener(port + 1):
            return port
    raise LookupError("no two ports are free")


def test_the_admin_port_is_the_next_one_unless_that_is_taken() -> None:
    port = port_with_a_free_next()
    with kept_ports(port, None) as kept:
        assert kept == (port, port + 1)
    with listener(port + 1), kept_ports(port, None) as (public, admin):
        assert public == port
        assert admin not in (port, port + 1)


def test_zero_is_any_free_port() -> None:
    with kept_ports(0, 0) as one, kept_ports(0, None) as other:
        assert len({*one, *other}) == 4


def test_both_may_be_the_same() -> None:
    port = free_port()
    with kept_ports(port, port) as kept:
        assert kept == (port, port)


def test_the_last_port_of_all_has_no_next_one() -> None:
    with kept_ports(65535, None) as (public, admin):
        assert public == 65535
        assert admin != 65535


def test_a_port_that_is_taken_is_named_with_the_option_that_chooses_another() -> None:
    for options in ((), (socket.SO_REUSEPORT,)):
        with listener(0, *options) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PortTaken, match=rf"port {port} .* with --port"), kept_ports(port, None):
                pass
            with pytest.raises(PortTaken, match=rf"port {port} .* with --admin-port"), kept_ports(0, port):
                pass


def test_a_kept_port_is_for_front_doors_alone() -> None:
    """Any number of them; who does not share ports, or came first to another stack, is kept out."""
    with kept_ports(0, None) as (port, _):
        with pytest.raises(OSError, match="in use"):
            listener(port)
        with (
            listener(port, socket.SO_REUSEADDR, socket.SO_REUSEPORT),
            listener(port, socket.SO_REUSEADDR, socket.SO_REUSEPORT),
            socket.create_connection((HOST, port), timeout=5),
            pytest.raises(PortTaken),
            kept_ports(port, None),
        ):
            pass
