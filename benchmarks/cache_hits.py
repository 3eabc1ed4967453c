"""What does a call cost whose value is in the cache?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks._cache import Settings
from benchmarks._caches import Kind, LoadsBy, kinds_on
from benchmarks._crowd import time_one_by_one
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._work import MICRO, returns_at_once, some_keys

TITLE = "A hit"
TEXT = """
One caller makes 2,000 calls one after the other, over 100 keys that are in the cache and will
expire some day. The floor is an async function that looks into a dict. dogpile.cache is used from
a worker thread for each call, as it is synchronous.
"""
FLOOR = "floor: a dict in an async function"
KEYS, CALLS = 100, 2_000
ROUNDS = 11


async def run(plan: Plan) -> list[Result]:
    """Measure."""
    keys = [*some_keys(KEYS)] * (plan.size(CALLS) // KEYS or 1)
    cases: dict[str, Case] = {FLOOR: partial(_floor, keys)}
    for kind in kinds_on(plan.backend):
        cases[kind.name] = partial(_hits, kind, keys)
    return [
        Result(
            question="cache_hits",
            backend=plan.backend,
            label="a hit",
            size=0,
            floor=FLOOR,
            samples=await measure(cases, rounds=plan.rounds(ROUNDS)),
        )
    ]


async def _floor(keys: Sequence[str]) -> float:
    values = dict.fromkeys(keys, "value")

    async def get(key: str) -> str:
        return values[key]

    return await time_one_by_one(get, keys) / len(keys) * MICRO


async def _hits(kind: Kind, keys: Sequence[str]) -> float:
    async with kind.make(LoadsBy(returns_at_once), Settings()) as cache:
        for key in dict.fromkeys(keys):
            await cache.get(key)
        return await time_one_by_one(cache.get, keys) / len(keys) * MICRO
