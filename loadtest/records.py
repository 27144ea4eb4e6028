"""What was measured, kept as it was: one JSON file for each benchmark, from which every table and figure is written.

A figure that is typed by hand is wrong after the next run. Each file carries the line of the machine it was measured on.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from shared import clock

REPORT = Path(__file__).with_name("report")

T = TypeVar("T", bound=msgspec.Struct)


class Measured(msgspec.Struct, frozen=True):
    """One trial's figures. `client_us`: this client's own CPU for a request. `meters`: what the contestant counted.

    `spread`: the latencies in seconds at `spread.PERCENTS`.
    """

    seconds: float
    per_second: float
    p50: float
    p99: float
    client_us: float
    meters: Mapping[str, float]
    spread: Sequence[float] = ()


class Taken(msgspec.Struct, frozen=True):
    """When and where something was measured."""

    machine: str
    at: datetime


class Bench(msgspec.Struct, frozen=True):
    """A scenario of `loadtest.bench`: every contestant's rounds. `memory_mb`: the largest process of each kind afterwards."""

    taken: Taken
    name: str
    title: str
    rounds: Mapping[str, Sequence[Measured]]
    memory_mb: Mapping[str, float]


class Timeline(msgspec.Struct, frozen=True):
    """One burst as it went, in slices of `slice_s`: how many heard that they won, and that it is sold out, in each.

    `commits`: when each batch was on the disk, in seconds from the first request, and how many claims it carried.
    """

    taken: Taken
    slice_s: float
    won: Sequence[int]
    sold_out: Sequence[int]
    commits: Sequence[tuple[float, int]]


class Paced(msgspec.Struct, frozen=True):
    """One run of an open loop. Latencies in seconds, from the moment at which a request was due.

    `late_p99`: how long after that moment the client itself sent it, when a connection was free.
    """

    achieved: float
    p50: float
    p99: float
    p999: float
    statuses: Mapping[int, int]
    failed: int
    client_us: float
    late_p99: float
    spread: Sequence[float]


class Step(msgspec.Struct, frozen=True):
    """A rate at which a call was offered to a contestant, with its rounds."""

    call: str
    contestant: str
    offered: int
    rounds: Sequence[Paced]


class OpenLoop(msgspec.Struct, frozen=True):
    """`loadtest.open_loop`, whole."""

    taken: Taken
    seconds: float
    steps: Sequence[Step]


class Use(msgspec.Struct, frozen=True):
    """What a kind of process took: CPU µs for one answer, all of its kind together; memory in MB, of the largest.

    `pss_mb`: at the end. `peak_mb`: the most that was ever resident, shared pages and all.
    """

    cpu_us: float
    pss_mb: float
    peak_mb: float


class Point(msgspec.Struct, frozen=True):
    """One size of a growth, with its rounds and those of bare aiohttp in between."""

    size: int
    lastslot: Sequence[Measured]
    bare: Sequence[Measured]
    uses: Mapping[str, Use]


class Growth(msgspec.Struct, frozen=True):
    """One axis of `loadtest.growth`. `axis` names what grows, `unit` what is counted per second; `people` come in a round.

    `in_turn`: the sizes took turns in every round. Otherwise one was measured after the other, each beside bare aiohttp.
    """

    taken: Taken
    name: str
    title: str
    axis: str
    unit: str
    people: int
    in_turn: bool
    points: Sequence[Point]


def taken(machine: str) -> Taken:
    return Taken(machine, clock.utc_now().replace(microsecond=0))


def save(name: str, record: msgspec.Struct, directory: Path = REPORT) -> Path:
    """Write a record down, in the place of the last one of its name."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))
    return path


def load(name: str, shape: type[T], directory: Path = REPORT) -> T | None:
    """The last record of this name; None when it was never taken, or has the shape of an earlier version."""
    path = directory / f"{name}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except (FileNotFoundError, msgspec.ValidationError):
        return None
