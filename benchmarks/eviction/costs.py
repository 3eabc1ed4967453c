"""What does a hit cost, and what a miss with the insertion and the eviction after it?"""

from __future__ import annotations

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
NANO = 1e9
HIT, MISS = "a hit", "a miss, the insertion and the eviction"
SETUP = """
get, put = store.get, store.put
cache, move_to_end = getattr(store, "cache", None), getattr(store, "move_to_end", None)
"""
LOOPS = {
    HIT: """
for key in keys:
    entry = {0.LOOKUP}
    if entry is not None:
        {0.PROMOTE}
""",
    MISS: """
for key, entry in fresh:
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
        return _time(label, store, keys=keys) / len(keys)
    run = next(_number)
    fresh = [(f"new:{run}:{index}", Entry()) for index in range(MISSES // SIZE * size)]
    return _time(label, store, fresh=fresh) / len(fresh)


def _time(label: str, store: Store, **names: object) -> float:
    """Return how many nanoseconds the loop takes; `timeit` switches the collector off."""
    body = LOOPS[label].format(store)
    return Timer(body, SETUP, globals={"store": store, **names}).timeit(1) * NANO
