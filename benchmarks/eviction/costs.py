"""What does a hit cost, and what a miss with the insertion and the eviction after it?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count
from random import Random
from timeit import Timer

from benchmarks._backends import run_on
from benchmarks._measure import Case, Result, measure
from benchmarks.eviction.contestants import CONTESTANTS, FLOOR, Contestant, Store
from benchmarks.eviction.policies import Entry

SIZE = 10_000
HITS = 100_000
MISSES = 20_000
ROUNDS = 15
PARTS = 10
"""A measurement is taken in so many parts, each too short to be interrupted often."""
NANO = 1e9
HIT, MISS = "a hit", "a miss, the insertion and the eviction"
SETUP = """
get, put = store.get, store.put
cache, move_to_end = getattr(store, "cache", None), getattr(store, "move_to_end", None)
"""
LOOPS = {
    HIT: """
for key in asked:
    entry = {0.LOOKUP}
    if entry is not None:
        {0.PROMOTE}
""",
    MISS: """
for key, entry in asked:
    if {0.LOOKUP} is None:
        put(key, entry)
""",
}
"""Written out for each store: a call of its methods is paid only where a program would pay it."""

_number = count()


def run(*, quick: bool) -> tuple[Result, ...]:
    """Measure both."""
    return tuple(run_on("asyncio", _measure, label, quick) for label in (HIT, MISS))


async def _measure(label: str, quick: bool) -> Result:
    size = SIZE // 100 if quick else SIZE
    cases: dict[str, Case] = {
        each.name: partial(_one, label, each, size) for each in (FLOOR, *CONTESTANTS)
    }
    samples = await measure(cases, rounds=2 if quick else ROUNDS)
    return Result(
        question="costs",
        backend="",
        label=label,
        size=size,
        floor=FLOOR.name,
        samples=samples,
        unit="ns",
    )


async def _one(label: str, contestant: Contestant, size: int) -> float:
    store = contestant.open(size)
    names = [f"user:{index}" for index in range(size)]
    for name in names:
        store.put(name, Entry())
    if label == HIT:
        # Some are asked for more often than others, so that some stay in the processor's caches.
        chance = Random(1)  # noqa: S311 - no secret
        keys = [names[int(chance.random() ** 2 * size)] for _ in range(HITS // SIZE * size)]
        return _quickest(label, store, keys)
    run = next(_number)
    fresh = [(f"new:{run}:{index}", Entry()) for index in range(MISSES // SIZE * size)]
    return _quickest(label, store, fresh)


def _quickest(label: str, store: Store, asked: Sequence[object]) -> float:
    """Return nanoseconds per key in the quickest part; `timeit` switches the collector off."""
    body, length = LOOPS[label].format(store), len(asked) // PARTS
    seconds = [
        Timer(body, SETUP, globals={"store": store, "asked": asked[first : first + length]}).timeit(
            1
        )
        for first in range(0, len(asked), length)
    ]
    return min(seconds) / length * NANO
