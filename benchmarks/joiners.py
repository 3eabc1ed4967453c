"""What does a joiner cost, a call that waits for a flight which another call started?"""

from __future__ import annotations

from functools import partial

import anyio

from benchmarks._crowd import Call, time_together
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._rivals import Rival, rivals_on
from benchmarks._work import MICRO, GatedWork

TITLE = "Joiners of one key"
TEXT = """
So many callers call with one key at once, each in a task of its own that is started in the cheapest
way of the back end. When all of them wait, the work returns. Counted is the time from the start of
the first caller to the end of the last, divided by their number. The floor is the same with a bare
`await event.wait()` in each caller: it contains the callers' tasks too.
"""
FLOOR = "floor: bare `event.wait()`"
SIZES = {1_000: (15, 3), 10_000: (9, 1), 100_000: (7, 1)}
"""The number of callers; how many rounds, and how many flights in one measurement."""
LONG = 100_000
"""From so many callers on, rivals that are not cancel-safe take part in every third round only."""


async def run(plan: Plan) -> list[Result]:
    """Measure each number of callers."""
    results: list[Result] = []
    for number, (rounds, flights) in SIZES.items():
        size = plan.size(number)
        notes: dict[str, str] = {}
        cases: dict[str, Case] = {FLOOR: partial(_floor, plan.backend, size, flights)}
        for rival in rivals_on(plan.backend):
            cases[rival.name] = partial(_joiners, plan.backend, rival, size, flights, notes)
        results.append(
            Result(
                question="joiners",
                backend=plan.backend,
                label=f"{size:,} joiners",
                size=size,
                floor=FLOOR,
                samples=await measure(
                    cases,
                    rounds=plan.rounds(rounds),
                    seldom=plan.unsafe if number >= LONG else (),
                ),
                notes=notes,
            )
        )
    return results


def bare_wait(event: anyio.Event) -> Call:
    """Return the floor of a joiner: the wait alone."""
    return lambda _: event.wait()


async def _floor(backend: str, size: int, flights: int) -> float:
    seconds = 0.0
    for _ in range(flights):
        event = anyio.Event()
        seconds += sum(await time_together(backend, bare_wait(event), ["key"] * size, event))
    return seconds / flights / size * MICRO


async def _joiners(
    backend: str, rival: Rival, size: int, flights: int, notes: dict[str, str]
) -> float:
    seconds = 0.0
    for _ in range(flights):
        work = GatedWork()
        async with rival.open(work.function()) as call:
            seconds += sum(await time_together(backend, call, ["key"] * size, work.gate))
        work.note(notes, rival.name, expected=1)
    return seconds / flights / size * MICRO
