"""What does a joiner cost, a call that waits for a flight which another call started?"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import anyio

from benchmarks._crowd import Call, time_together
from benchmarks._measure import Case, Plan, Result, Samples, measure
from benchmarks._rivals import Rival, rivals_on
from benchmarks._work import MICRO, MILLI, GatedWork

TITLE = "Joiners of one key"
TEXT = """
So many callers call with one key at once, each in a task of its own that is started in the cheapest
way of the back end. When all of them wait, the work returns. Counted is the time from the start of
the first caller to the end of the last, divided by their number. The floor is the same with a bare
`await event.wait()` in each caller: it contains the callers' tasks too.
"""
FLOOR = "floor: bare `event.wait()`"
SIZES = {1_000: (15, 3), 10_000: (7, 1), 100_000: (7, 1)}
"""The number of callers; how many rounds, and how many flights in one measurement."""
LONG = 100_000
"""With so many callers, rivals that are not cancel-safe sit out most rounds."""


async def run(plan: Plan) -> list[Result]:
    """Measure each number of callers."""
    results: list[Result] = []
    for number in SIZES:
        results += await _of_size(plan, number)
    return results


async def _of_size(plan: Plan, number: int) -> list[Result]:
    """Measure one number of callers; with the largest, tell how long the landing takes too."""
    size, (rounds, flights) = plan.size(number), SIZES[number]
    rivals = rivals_on(plan.backend)
    seen = {name: Seen() for name in (FLOOR, *(rival.name for rival in rivals))}
    cases: dict[str, Case] = {FLOOR: partial(_floor, plan.backend, size, flights, seen[FLOOR])}
    for rival in rivals:
        cases[rival.name] = partial(_joiners, plan.backend, rival, size, flights, seen[rival.name])
    seldom = plan.unsafe if number == LONG else frozenset[str]()
    result = Result(
        question="joiners",
        backend=plan.backend,
        label=f"{size:,} joiners",
        size=size,
        floor=FLOOR,
        samples=await measure(cases, rounds=plan.rounds(rounds), seldom=seldom),
        notes={name: each.note for name, each in seen.items() if each.note},
    )
    if number != LONG:
        return [result]
    landing = replace(
        result,
        label=f"{size:,} joiners, from the end of the work to the last value",
        samples=_landings(result.samples, seen),
        unit="ms",
    )
    return [result, landing]


class Seen:
    """What measurements of one case show besides their figure."""

    def __init__(self) -> None:
        #: Milliseconds of each measurement.
        self.landings: list[float] = []
        self.note = ""


def _landings(samples: Samples, seen: dict[str, Seen]) -> Samples:
    """Put the landings into the rounds that they were measured in."""
    landings = {name: iter(each.landings) for name, each in seen.items()}
    return {
        name: [None if each is None else next(landings[name]) for each in figures]
        for name, figures in samples.items()
    }


def bare_wait(event: anyio.Event) -> Call:
    """Return the floor of a joiner: the wait alone."""
    return lambda _: event.wait()


async def _floor(backend: str, size: int, flights: int, seen: Seen) -> float:
    seconds = 0.0
    for _ in range(flights):
        event = anyio.Event()
        times = await time_together(backend, bare_wait(event), ["key"] * size, event)
        seconds += sum(times)
    seen.landings.append(times.landing * MILLI)
    return seconds / flights / size * MICRO


async def _joiners(backend: str, rival: Rival, size: int, flights: int, seen: Seen) -> float:
    seconds = 0.0
    for _ in range(flights):
        work = GatedWork()
        async with rival.open(work.function()) as call:
            times = await time_together(backend, call, ["key"] * size, work.gate)
        seconds += sum(times)
    seen.landings.append(times.landing * MILLI)
    seen.note = work.note(expected=1)
    return seconds / flights / size * MICRO
