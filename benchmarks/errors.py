"""What does a call cost when the work fails, and every caller gets the error?"""

from __future__ import annotations

from functools import partial
from typing import NoReturn

import anyio

from benchmarks._crowd import Call, time_together
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._rivals import Rival, rivals_on
from benchmarks._work import MICRO, GatedWork, WorkError

TITLE = "The error path"
TEXT = """
1,000 callers join a flight, whose work raises. The floor is a bare `await event.wait()` in each
caller, followed by a `raise` of an exception of its own. anyflight gives each caller a copy, so
that what one does to it is not seen by another. Rivals raise one exception object many times, or
run the failing work again for each caller.
"""
WHY = "anyflight gives each caller a copy of the error"
FLOOR = "floor: bare `event.wait()`, then `raise`"
CALLERS = 1_000
ROUNDS = 11


async def run(plan: Plan) -> list[Result]:
    """Measure."""
    size = plan.size(CALLERS)
    notes: dict[str, str] = {}
    cases: dict[str, Case] = {FLOOR: partial(_floor, plan.backend, size)}
    for rival in rivals_on(plan.backend):
        cases[rival.name] = partial(_failing, plan.backend, rival, size, notes)
    return [
        Result(
            question="errors",
            backend=plan.backend,
            label=f"{size:,} joiners of work that fails",
            size=size,
            floor=FLOOR,
            samples=await measure(cases, rounds=plan.rounds(ROUNDS)),
            notes=notes,
        )
    ]


async def _caller(call: Call, key: str, ended: list[object]) -> None:
    try:
        await call(key)
    except WorkError:
        ended.append(key)


async def _floor(backend: str, size: int) -> float:
    event = anyio.Event()

    async def call(key: str) -> NoReturn:
        await event.wait()
        raise WorkError(key)

    times = await time_together(backend, call, ["key"] * size, event, one=_caller)
    return sum(times) / size * MICRO


async def _failing(backend: str, rival: Rival, size: int, notes: dict[str, str]) -> float:
    work = GatedWork(fail=True)
    async with rival.open(work.function()) as call:
        times = await time_together(backend, call, ["key"] * size, work.gate, one=_caller)
    notes[rival.name] = work.note(expected=1)
    return sum(times) / size * MICRO
