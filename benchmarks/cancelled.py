"""What does a caller cost when half of the joiners are cancelled while they wait?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter

import anyio

from benchmarks._crowd import Call, all_wait, crowd_of
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._rivals import Rival, rivals_on
from benchmarks._work import MICRO, GatedWork
from benchmarks.joiners import FLOOR, bare_wait

TITLE = "Cancelled joiners"
TEXT = """
1,000 callers join a flight, every second one is cancelled in the native way of the back end while
it waits, and then the work returns. The floor is the same with a bare `await event.wait()`. A rival
that serves fewer than all who stay has not done the work that its figure is for.
"""
CALLERS = 1_000
ROUNDS = 11
HANGING = 5.0
"""Seconds after which callers that still wait are given up."""


async def run(plan: Plan) -> list[Result]:
    """Measure."""
    size = plan.size(CALLERS)
    notes: dict[str, str] = {}
    cases: dict[str, Case] = {FLOOR: partial(_floor, plan.backend, size)}
    for rival in rivals_on(plan.backend):
        cases[rival.name] = partial(_half_cancelled, plan.backend, rival, size, notes)
    return [
        Result(
            question="cancelled",
            backend=plan.backend,
            label=f"{size:,} joiners, half of them cancelled",
            size=size,
            floor=FLOOR,
            samples=await measure(cases, rounds=plan.rounds(ROUNDS)),
            notes=notes,
        )
    ]


async def _floor(backend: str, size: int) -> float:
    event = anyio.Event()
    seconds, served = await _time(backend, bare_wait(event), size, event)
    if served != 1 + size // 2:
        raise RuntimeError(f"{served} of {1 + size // 2} callers were woken")
    return seconds / (1 + size) * MICRO


async def _half_cancelled(backend: str, rival: Rival, size: int, notes: dict[str, str]) -> float:
    work = GatedWork()
    async with rival.open(work.function()) as call:
        seconds, served = await _time(backend, call, size, work.gate)
    if served != 1 + size // 2:
        notes[rival.name] = f"serves {served:,} of {1 + size // 2:,}"
    else:
        notes[rival.name] = work.note(expected=1)
    return seconds / (1 + size) * MICRO


async def _caller(call: Call, values: list[object]) -> None:
    values.append(await call("key"))


async def _time(backend: str, call: Call, size: int, gate: anyio.Event) -> tuple[float, int]:
    """Return the seconds in all, and how many callers got a value."""
    values: list[object] = []
    began = perf_counter()
    with anyio.move_on_after(HANGING):
        async with crowd_of(backend) as crowd:
            crowd.start(_caller, call, values)  # the starter
            await all_wait()
            cancels: list[Callable[[], object]] = []
            for _ in range(size // 2):
                cancels.append(crowd.start_cancellable(_caller, call, values))
                crowd.start(_caller, call, values)
            await all_wait()
            for cancel in cancels:
                cancel()
            await all_wait()
            gate.set()
    return perf_counter() - began, len(values)
