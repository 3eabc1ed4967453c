"""What does a call cost whose value has to be loaded, and that is the only one to wait for it?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio

from benchmarks._cache import Settings
from benchmarks._caches import Kind, LoadsBy, kinds_on
from benchmarks._crowd import time_one_by_one
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._rivals import Work
from benchmarks._work import MICRO, some_keys, yields_once

TITLE = "A miss"
TEXT = """
One caller makes 1,000 calls one after the other, each with a key that is not in the cache; the work
yields once. The floor is an owned task whose result is put into a dict.
"""
FLOOR = "floor: an owned task, and a dict"
WHY = (
    "the load is a bare task, or runs in the caller's, and what is kept is a tuple with a timer: "
    "no task group owns it, and there are no tags, no tickets, no policy"
)
CALLS = 1_000
ROUNDS = 7


async def run(plan: Plan) -> list[Result]:
    """Measure."""
    keys = some_keys(plan.size(CALLS))
    cases: dict[str, Case] = {FLOOR: partial(_floor, yields_once, keys)}
    for kind in kinds_on(plan.backend):
        cases[kind.name] = partial(_misses, kind, keys)
    return [
        Result(
            question="cache_misses",
            backend=plan.backend,
            label="a miss",
            size=0,
            floor=FLOOR,
            samples=await measure(cases, rounds=plan.rounds(ROUNDS)),
        )
    ]


async def _floor(work: Work, keys: Sequence[str]) -> float:
    values: dict[str, object] = {}

    async def get(key: str) -> object:
        handle = tasks.start_soon(work, key)
        await handle.wait()
        value = values[key] = handle.return_value
        return value

    async with anyio.create_task_group() as tasks:
        seconds = await time_one_by_one(get, keys)
    return seconds / len(keys) * MICRO


async def _misses(kind: Kind, keys: Sequence[str]) -> float:
    async with kind.make(LoadsBy(yields_once), Settings()) as cache:
        return await time_one_by_one(cache.get, keys) / len(keys) * MICRO
