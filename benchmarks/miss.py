"""What does an uncontended call cost, one that starts a flight and is its only waiter?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio

from benchmarks._crowd import time_one_by_one
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._rivals import Rival, Work, rivals_on
from benchmarks._work import MICRO, returns_at_once, some_keys, yields_once

TITLE = "An uncontended call"
TEXT = """
One caller makes 2,000 calls one after the other, each with a key of its own. The floor is a task
that somebody owns: `await task_group.start_soon(work, key).wait()`. Work that returns at once shows
the overhead alone; real work yields at least once.
"""
FLOOR = "floor: `start_soon(work).wait()`"
CALLS = 2_000
ROUNDS = 11
WORKS: dict[str, Work] = {
    "work that returns at once": returns_at_once,
    "work that yields once": yields_once,
}


async def run(plan: Plan) -> list[Result]:
    """Measure both kinds of work."""
    keys = some_keys(plan.size(CALLS))
    return [
        Result(
            question="miss",
            backend=plan.backend,
            label=label,
            size=len(keys),
            floor=FLOOR,
            samples=await measure(_cases(plan, work, keys), rounds=plan.rounds(ROUNDS)),
        )
        for label, work in WORKS.items()
    ]


def _cases(plan: Plan, work: Work, keys: Sequence[str]) -> dict[str, Case]:
    cases: dict[str, Case] = {FLOOR: partial(floor, work, keys)}
    for rival in rivals_on(plan.backend):
        cases[rival.name] = partial(_calls, rival, work, keys)
    return cases


async def floor(work: Work, keys: Sequence[str]) -> float:
    """Return the microseconds of a bare task that somebody owns and waits for."""
    async with anyio.create_task_group() as tasks:
        seconds = await time_one_by_one(lambda key: tasks.start_soon(work, key).wait(), keys)
    return seconds / len(keys) * MICRO


async def _calls(rival: Rival, work: Work, keys: Sequence[str]) -> float:
    async with rival.open(work) as call:
        return await time_one_by_one(call, keys) / len(keys) * MICRO
