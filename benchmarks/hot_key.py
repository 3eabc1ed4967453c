"""How often is the work of a key executed for which calls come in at random, as theory says?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from random import Random
from typing import NamedTuple

import anyio
from aiocache import cached  # type: ignore[import-untyped]
from anyio import to_thread

from benchmarks._cache import Cache, Settings, Source
from benchmarks._caches import OURS, Anyflight, Kind, kinds_on
from benchmarks._crowd import crowd_of
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._virtual_time import BACKENDS, run_virtually

TITLE = "A hot key, in the long run"
TEXT = """
Calls for one key arrive as a Poisson process of the rate L (seeded, the same for all); the work
takes S seconds, and a value is fresh for T. An execution begins with the first call after the value
has expired, 1/L later on average; so with coalescing there are L / (1 + L (S + T)) executions per
second, however many calls there are. Counted over 3,000 calls in virtual time, three times; beside
the name stands which part of the calls had to wait. A cache that shares nothing executes the work
for each call that comes while it is loading. dogpile.cache is left out: virtual time does not wait
for its threads.
"""
FLOOR = "theory: L / (1 + L (S + T))"
STALE = f"{OURS.name}, stale while revalidated"
UNSHARED = "aiocache, not shared"
CALLS = 3_000
FEWEST_CYCLES = 3
ROUNDS = 3


class Load(NamedTuple):
    """The calls per second, the seconds of the work, and for how many a value is fresh."""

    rate: float
    work: float
    ttl: int

    @property
    def theory(self) -> float:
        """Executions per second."""
        return self.rate / (1 + self.rate * (self.work + self.ttl))


LOADS = (Load(1, 0.2, 1), Load(10, 0.2, 1), Load(100, 0.2, 1), Load(100, 1, 1))


class Unshared(Cache):
    """A cache whose calls load for themselves what they miss."""

    def __init__(self, source: Source, settings: Settings) -> None:
        async def load(key: str) -> object:
            return await source.load(key)

        self.get = cached(ttl=settings.ttl, key_builder=lambda _, key: key)(load)


class Stale(Anyflight):
    """Ours, where no call waits but the first."""

    def __init__(self, source: Source, settings: Settings) -> None:
        super().__init__(source, Settings(ttl=settings.ttl, stale_while_revalidate=10**6))


async def run(plan: Plan) -> list[Result]:
    """Count, for each load."""
    if plan.backend not in BACKENDS:
        return []
    return [await _measure(plan, load) for load in LOADS]


async def _measure(plan: Plan, load: Load) -> Result:
    async def theory() -> float:
        return load.theory

    notes: dict[str, str] = {}
    cases: dict[str, Case] = {FLOOR: theory}
    for kind in _kinds(plan.backend):
        rate = partial(_in_thread, kind, plan, load, count(), notes)
        cases[kind.name] = rate
    return Result(
        question="hot_key",
        backend=plan.backend,
        label=f"L = {load.rate:g}, S = {load.work:g}, T = {load.ttl:g}",
        size=0,
        floor=FLOOR,
        samples=await measure(cases, rounds=plan.rounds(ROUNDS)),
        notes=notes,
        unit="executions/s",
    )


def _kinds(backend: str) -> Iterator[Kind]:
    yield OURS
    yield Kind(name=STALE, make=Stale, package="", backends=OURS.backends)
    yield from (kind for kind in kinds_on(backend)[1:] if kind.name != "dogpile.cache")
    if backend != "trio":
        yield Kind(name=UNSHARED, make=Unshared, package="")


async def _in_thread(
    kind: Kind, plan: Plan, load: Load, seeds: Iterator[int], notes: dict[str, str]
) -> float:
    """Count in a thread, which has an event loop of its own, in virtual time."""
    calls = max(plan.size(CALLS), int(FEWEST_CYCLES * load.rate / load.theory))
    arrivals = partial(_arrivals, kind, plan.backend, load, calls, next(seeds))
    found = await to_thread.run_sync(run_virtually, plan.backend, arrivals)
    if kind.name not in notes:
        notes[kind.name] = f"{found.waited / calls:.1%} wait"
    return found.rate


class _Found(NamedTuple):
    rate: float
    waited: int


class _Slow:
    """A source that takes its time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.began: list[float] = []

    async def load(self, key: str) -> str:
        self.began.append(anyio.current_time())
        await anyio.sleep(self._seconds)
        return key

    async def load_batch(self, keys: object) -> dict[str, object]:
        raise NotImplementedError


async def _arrivals(kind: Kind, backend: str, load: Load, calls: int, seed: int) -> _Found:
    draw = Random(seed)  # noqa: S311 - nothing is secret about it
    source = _Slow(load.work)
    waited = 0

    async def call(cache: Cache) -> None:
        nonlocal waited
        came = anyio.current_time()
        await cache.get("key")
        waited += anyio.current_time() > came

    async with kind.make(source, Settings(ttl=load.ttl)) as cache, crowd_of(backend) as crowd:
        for _ in range(calls):
            await anyio.sleep(draw.expovariate(load.rate))
            crowd.start(call, cache)
    began = source.began
    # From the first execution to the last: a whole number of cycles.
    return _Found((len(began) - 1) / (began[-1] - began[0]), waited)
