"""How many of the requests does a policy answer, beside the best that is possible?"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import mean
from time import perf_counter

from benchmarks.eviction.contestants import CONTESTANTS, SAME, Store
from benchmarks.eviction.optimum import fixed_set_ratio, optimal_hits
from benchmarks.eviction.policies import Entry
from benchmarks.eviction.traces import LENGTH, TRACES, Trace

SIZES = (500, 2_500, 10_000)
QUICK_SIZES = (10, 100)
SEEDS = (1, 2, 3)
RATED = tuple(each for each in CONTESTANTS if each.name not in SAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The hit ratios on a trace with a size, one for each seed.

    :ivar optimum: those of who knows the future
    :ivar fixed: what the best fixed set of keys expects; None where requests are not independent
    """

    trace: str
    size: int
    optimum: list[float]
    fixed: float | None
    ratios: dict[str, list[float]]

    def mean(self, name: str) -> float:
        """Return the mean over the seeds."""
        return mean(self.ratios[name])

    def share(self, name: str) -> float:
        """Return the mean ratio as a share of the optimal one."""
        return self.mean(name) / mean(self.optimum)


def hits_of(store: Store, trace: Sequence[int]) -> int:
    """Ask for each key, and put what is not there; return how many were there."""
    get, touch, put = store.get, store.touch, store.put
    hits = 0
    for key in trace:
        entry = get(key)
        if entry is None:
            put(key, Entry())
        else:
            touch(key, entry)
            hits += 1
    return hits


def run(*, quick: bool) -> tuple[Cell, ...]:
    """Measure all; a smoke run takes a hundredth of it."""
    length = LENGTH // 100 if quick else LENGTH
    sizes = QUICK_SIZES if quick else SIZES
    seeds = SEEDS[:1] if quick else SEEDS
    return tuple(cell for trace in TRACES for cell in _cells(trace, length, sizes, seeds))


def _cells(trace: Trace, length: int, sizes: Sequence[int], seeds: Sequence[int]) -> Iterator[Cell]:
    began = perf_counter()
    made = [trace.make(Random(seed), length) for seed in seeds]  # noqa: S311 - no secret
    for size in sizes:
        yield Cell(
            trace=trace.name,
            size=size,
            optimum=[optimal_hits(keys, size) / len(keys) for keys in made],
            fixed=fixed_set_ratio(trace.weights, size) if trace.weights else None,
            ratios={
                each.name: [hits_of(each.open(size), keys) / len(keys) for keys in made]
                for each in RATED
            },
        )
    print(f"{perf_counter() - began:4.0f} s  {trace.name}", file=sys.stderr)
