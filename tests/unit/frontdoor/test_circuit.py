"""When a front door takes a gate to be away, and how much it then decides by itself."""

import asyncio
from collections.abc import Callable

import pytest

from frontdoor import circuit as room
from frontdoor.circuit import Circuit
from frontdoor.direct import Allowance
from shared import clock
from shared.domain.ids import PartitionNo
from shared.errors import RedisUnavailable


async def answer() -> str:
    return "answer"


async def silence(seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    raise RedisUnavailable


async def break_down() -> str:
    raise ValueError("what nobody expects")


async def fail(circuit: Circuit, seconds: float = 0.0) -> None:
    with pytest.raises(RedisUnavailable):
        await circuit.watch(silence(seconds))


def circuit_of(probe: Callable[[], object] = answer) -> Circuit:
    return Circuit(PartitionNo(3), probe)  # type: ignore[arg-type]


async def test_three_calls_in_a_row_without_an_answer_are_a_gate_that_is_away() -> None:
    circuit = circuit_of()
    for _ in range(2):
        await fail(circuit)
        await fail(circuit)
        assert not circuit.away
        assert await circuit.watch(answer()) == "answer"
    for _ in range(3):
        await fail(circuit)
    assert circuit.away


async def test_one_call_that_was_waited_for_in_vain_is_enough() -> None:
    circuit = circuit_of()
    await fail(circuit, 0.35)
    assert circuit.away


async def test_a_gate_is_back_when_it_answers_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_PROBE_EVERY_S", 0.01)
    probes = iter([silence, silence, answer])
    circuit = circuit_of(lambda: next(probes)())
    for _ in range(3):
        await fail(circuit)
    assert circuit.away
    assert circuit._probing is not None
    await asyncio.wait_for(circuit._probing, 5)
    assert not circuit.away
    assert next(probes, None) is None
    await fail(circuit)
    assert not circuit.away


async def test_a_probe_that_breaks_down_is_not_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_PROBE_EVERY_S", 0.01)
    probes = iter([break_down, answer])
    circuit = circuit_of(lambda: next(probes)())
    for _ in range(3):
        await fail(circuit)
    assert circuit._probing is not None
    await asyncio.wait_for(circuit._probing, 5)
    assert not circuit.away


def test_an_allowance_is_a_seconds_worth_at_most_and_comes_back_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    allowance = Allowance(300)
    assert allowance.take(200) == 200
    assert allowance.take(200) == 100
    assert allowance.take(1) == 0
    now += 0.25
    assert allowance.take(200) == 75
    now += 60.0
    assert allowance.take(1_000) == 300
    allowance.give_back(10)
    assert allowance.take(1_000) == 10
