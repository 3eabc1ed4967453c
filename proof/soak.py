"""Millions of calls on real event loops, with cancellations and errors: memory stays flat."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from time import perf_counter

import anyio
import psutil
from anyio.lowlevel import checkpoint

from anyflight import Coalescer, CoalescerStatistics

HOT_KEYS = 20
"""They get many of the calls, so that calls meet; all others are spread over all keys."""

HOT = 0.5
FORGETS = 0.01
CANCELS = 0.05
FRESH = 0.05
TIMEOUTS = 0.02
ERRORS = 0.05
"""How often a worker does these things, or its work: shares of the calls."""

GROWTH = 64 * 1024
"""Bytes by which what Python has allocated may grow from the second round to the last.

A byte for every hundred calls would exceed it in a run of ten million.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a soak does."""

    calls: int
    keys: int
    backend: str = "asyncio"
    workers: int = 100
    rounds: int = 10
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """What there was after a round, when nothing was in the air."""

    seconds: float
    allocated: int
    """Bytes that Python has allocated since the start."""
    resident: int
    """Bytes of memory that the process holds."""
    objects: int
    """Instances of the package's own classes."""
    statistics: CoalescerStatistics


class WorkError(Exception):
    """The work failed."""


class Soak:
    """One coalescer, and workers that call it, are cancelled, and begin again."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.samples: list[Sample] = []
        self._random = Random(load.seed)
        self._coalescer = Coalescer[int, int](name="soak")
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._start = perf_counter()

    async def run(self) -> None:
        """Make all calls, in rounds; take a sample after each."""
        for _ in range(self.load.rounds):
            # Opened for each round, so that closing belongs to what is repeated.
            async with self._coalescer, anyio.create_task_group() as tasks:
                for worker in range(self.load.workers):
                    tasks.start_soon(self._worker, worker)
            self._take_sample()

    def _take_sample(self) -> None:
        gc.collect()
        classes = Counter(map(type, gc.get_objects()))
        del classes[CoalescerStatistics]  # of which each sample has one
        # Not every class has a string there: one may have an attribute of its own by that name.
        own = [each for each in classes if str(each.__module__).partition(".")[0] == "anyflight"]
        self.samples.append(
            Sample(
                perf_counter() - self._start,
                tracemalloc.get_traced_memory()[0],
                psutil.Process().memory_info().rss,
                sum(classes[each] for each in own),
                self._coalescer.statistics(),
            )
        )

    async def _worker(self, worker: int) -> None:
        random = self._random
        for _ in range(self.load.calls // self.load.rounds // self.load.workers):
            key = random.randrange(HOT_KEYS if random.random() < HOT else self.load.keys)
            if random.random() < FORGETS:
                self._coalescer.forget(key)
            if random.random() < CANCELS:
                victim = random.randrange(self.load.workers)
                if victim in self._scopes:
                    self._scopes[victim].cancel()
            with anyio.CancelScope() as self._scopes[worker]:
                await self._call(key, fresh=random.random() < FRESH)
            del self._scopes[worker]

    async def _call(self, key: int, *, fresh: bool) -> None:
        timeout = 0.0 if self._random.random() < TIMEOUTS else None
        try:
            value = await self._coalescer.execute(
                key, self._work, key, fresh=fresh, timeout=timeout
            )
        except (WorkError, TimeoutError):
            return
        if value != key:
            raise AssertionError(f"key {key} got the value of key {value}")

    async def _work(self, key: int) -> int:
        for _ in range(self._random.randrange(4)):
            await checkpoint()
        if self._random.random() < ERRORS:
            raise WorkError
        return key

    def findings(self) -> Iterator[str]:
        """Say what is wrong."""
        now = self.samples[-1].statistics
        if now.in_flight or now.waiting or self._coalescer.flights():
            yield f"something is still in the air: {now}"
        if not (now.joined and now.failed and now.cancelled):
            yield f"too little happened: {now}"
        settled = self.samples[1]
        if len({sample.objects for sample in self.samples[1:]}) > 1:
            yield f"objects stay behind: {[sample.objects for sample in self.samples]}"
        if self.samples[-1].allocated > settled.allocated + GROWTH:
            yield f"memory grows: {[sample.allocated for sample in self.samples]} bytes"


@contextmanager
def _traced() -> Iterator[None]:
    tracemalloc.start()
    gc.collect()
    gc.freeze()  # what there is already shall neither be counted nor cost time
    try:
        yield
    finally:
        gc.unfreeze()
        tracemalloc.stop()


def soak(load: Load) -> Soak:
    """Run a soak; return it with its samples."""
    one = Soak(load)
    with _traced():
        anyio.run(one.run, backend=load.backend)
    return one


def report(one: Soak) -> str:
    """Return a table of the samples."""
    lines = [
        "     calls    flights     joined  cancelled     failed  allocated   resident  seconds"
    ]
    lines.extend(
        f"{now.calls:10,} {now.flights:10,} {now.joined:10,} {now.cancelled:10,} {now.failed:10,} "
        f"{sample.allocated / 1024:6,.0f} KiB {sample.resident / 2**20:6,.1f} MiB "
        f"{sample.seconds:8.1f}"
        for sample in one.samples
        for now in [sample.statistics]
    )
    return "\n".join(lines)
