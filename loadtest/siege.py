"""Those who mean no good, as processes of their own: guessers, and people who come and say nothing.

    python -m loadtest.siege bots PORT SECRET RATE SECONDS
    python -m loadtest.siege silent PORT COUNT

They say "ready" when they stand before the door, and stay until their standard input ends; guessers begin at its first line,
and say what they were answered.
"""

import os
import resource
import select
import socket
import sys
from collections import Counter
from random import Random
from time import monotonic, sleep

import msgspec

from frontdoor.tokens import issue
from lastslot.crowd import redeem
from lastslot.wire import render
from loadtest.pacer import pace, poisson
from loadtest.trial import HOST

#: So many of them, each with an address and a user's token of its own.
BOTS = 200

#: How many come from one address, well below what a door bears of one.
_AT_AN_ADDRESS = 250
_DRIP_EVERY_S = 3.0

#: They know nothing of each other: they come over so many seconds, and each has a moment of its own for its next byte.
_COME_WITHIN_S = 10.0
_MOMENTS = 60
_BEGINNING = b"POST /api/v1/coupons/redeem HTTP/1.1\r\nHost: door\r\n"
_HEAD = _BEGINNING + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


def guesses(secret: str, count: int, dice: Random) -> list[bytes]:
    """Requests that each name another code; half redeem as some user, half validate as nobody."""
    tokens = [(user, issue(secret, user)) for user in (f"bot-{number}" for number in range(BOTS))]
    found = []
    for number in range(count):
        code = f"{dice.getrandbits(60):X}"[:12]
        if number % 2:
            found.append(redeem(HOST, code, *dice.choice(tokens)))
        else:
            found.append(render("POST", "/api/v1/coupons/validate", HOST, None, msgspec.json.encode({"code": code})))
    return found


def bots(port: int, secret: str, rate: int, seconds: float) -> None:
    """Guess at this rate, whatever the answers are; then say how often each was given."""
    dice = Random(rate)
    due = poisson(rate, seconds, dice)
    requests = guesses(secret, len(due), dice)
    print("ready", flush=True)
    sys.stdin.readline()
    replied = pace(port, requests, due, BOTS, 2.0, [f"127.0.1.{1 + number % BOTS}" for number in range(BOTS)])
    print(msgspec.json.encode(Counter(replied.statuses)).decode(), flush=True)


class _Idler:
    """Somebody who takes up a connection: silent, or saying his head, or his body, a byte at a time."""

    def __init__(self, number: int, port: int) -> None:
        self.address = f"127.0.2.{1 + number // _AT_AN_ADDRESS}"
        self.kind = number % 3
        self.port = port
        self.come()

    def come(self) -> None:
        self.socket = socket.create_connection((HOST, self.port), source_address=(self.address, 0))
        self.socket.setblocking(False)
        if self.kind:
            self.socket.send(_BEGINNING if self.kind == 1 else _HEAD)

    def drip(self) -> None:
        if self.kind:
            self.socket.send(b"x")


def silent(port: int, count: int) -> None:
    """Be there, and come again when shown out, until standard input ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with select.epoll() as ready:
        there: dict[int, _Idler] = {}
        for number in range(count):
            sleep(_COME_WITHIN_S / count)
            _arrive(_Idler(number, port), there, ready)
            if number % 100 == 0:
                _welcome(there, ready, 0.0)
        ready.register(0, select.EPOLLIN | select.EPOLLHUP)
        print("ready", flush=True)
        _stay(there, ready)


def _arrive(idler: _Idler, there: dict[int, _Idler], ready: select.epoll) -> None:
    there[idler.socket.fileno()] = idler
    ready.register(idler.socket, select.EPOLLIN)


def _stay(there: dict[int, _Idler], ready: select.epoll) -> None:
    moment, next_moment = 0, monotonic()
    while _welcome(there, ready, max(0.0, next_moment - monotonic())):
        if monotonic() >= next_moment:
            for idler in list(there.values())[moment::_MOMENTS]:
                _drip(idler)
            moment, next_moment = (moment + 1) % _MOMENTS, next_moment + _DRIP_EVERY_S / _MOMENTS


def _welcome(there: dict[int, _Idler], ready: select.epoll, within_s: float) -> bool:
    """Let those come again who were shown out; False when standard input has ended."""
    for number, _ in ready.poll(within_s, 256):
        if number == 0:
            if not os.read(0, 100):
                return False
            continue
        idler = there.pop(number)
        ready.unregister(number)
        idler.socket.close()
        idler.come()
        _arrive(idler, there, ready)
    return True


def _drip(idler: _Idler) -> None:
    try:
        idler.drip()
    except OSError:
        return  # He was shown out, which `ready` tells as well.


if __name__ == "__main__":
    kind, *given = sys.argv[1:]
    if kind == "bots":
        bots(int(given[0]), given[1], int(given[2]), float(given[3]))
    else:
        silent(int(given[0]), int(given[1]))
