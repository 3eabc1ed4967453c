"""What do a call and its memory cost from ten calls in flight to a million?"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from mmap import PAGESIZE, mmap
from multiprocessing import get_context
from statistics import mean
from typing import Literal, NamedTuple, TypeAlias

import anyio
import psutil

from benchmarks._backends import run_on
from benchmarks._crowd import time_together
from benchmarks._measure import Case, Plan, Result, Samples, measure
from benchmarks._rivals import open_anyflight
from benchmarks._work import MICRO, GatedWork, some_keys
from benchmarks.joiners import bare_wait
from benchmarks.many_keys import bare_tasks

TITLE = "Scale"
TEXT = """
So many calls are in flight at once, each with a key and a leader of its own (keys), or all for one
key (waiters). The floor of a key is an owned task and the wait for it, that of a waiter a bare
`await event.wait()`; the caller's own task is contained in both. With so many objects alive
Python's garbage collector takes much of the time, of the floor's too, so each is measured with the
collector on, as programs have it, and off. Up to 10,000 calls bytes are what `tracemalloc` counts;
above that they are the growth of the process's resident memory (RSS), in a new process for each
figure, and taken once. A million, and 100,000 keys with the collector on, are tried on asyncio
only.
"""
Kind: TypeAlias = Literal["keys", "waiters"]
SIZES = (10, 100, 1_000, 10_000)
LARGE_SIZES = (100_000, 1_000_000)
LARGEST = {"uvloop": 100_000, "trio": 100_000}
LARGEST_COLLECTED = 100_000
CALLS = 2_000
"""At least so many in one measurement."""
ROUNDS = 7
TURNS = 4
"""Turns of the event loop after which all callers wait, here where no rival takes part."""
ROUGH_BYTES: dict[Kind, int] = {"keys": 10_000, "waiters": 3_000}
"""What a call takes at most; sizes for which there is no memory are left out."""

KINDS: tuple[Kind, ...] = ("keys", "waiters")
COST: dict[Kind, str] = {"keys": "cost of a key", "waiters": "cost of a waiter"}
MEMORY: dict[Kind, str] = {"keys": "memory of a key", "waiters": "memory of a waiter"}
FLOOR, OURS = "floor", "anyflight"
OFF = ", collector off"
WHOS = (FLOOR, OURS)


class Flown(NamedTuple):
    """What a call took."""

    microseconds: float
    bytes: float


async def run(plan: Plan) -> list[Result]:
    """Measure."""
    results: list[Result] = []
    for kind in KINDS:
        for number in SIZES:
            results += await _small(plan, kind, plan.size(number))
        for number in _large_sizes(plan, kind):
            results += _large(plan, kind, plan.size(number))
    return results


def _large_sizes(plan: Plan, kind: Kind) -> tuple[int, ...]:
    if plan.quick:  # new processes take their time
        return LARGE_SIZES[:1] if (plan.backend, kind) == ("asyncio", "waiters") else ()
    room = psutil.virtual_memory().available // ROUGH_BYTES[kind]
    largest = min(plan.largest, LARGEST.get(plan.backend, plan.largest), room)
    return tuple(size for size in LARGE_SIZES if size <= largest)


async def _small(plan: Plan, kind: Kind, size: int) -> list[Result]:
    cases: dict[str, Case] = {}
    for who in WHOS:
        cases[who] = partial(_cost, plan, who, kind, size)
        cases[who + OFF] = partial(_uncollected, cases[who])
    samples = await measure(cases, rounds=plan.rounds(ROUNDS))
    memory: Samples = {who: [await _traced(plan.backend, who, kind, size)] for who in WHOS}
    return [
        _result(plan, COST[kind], size, samples),
        _result(plan, MEMORY[kind], size, memory, unit="bytes"),
    ]


async def _cost(plan: Plan, who: str, kind: Kind, size: int) -> float:
    times = max(1, plan.size(CALLS) // size)
    flown = [await _fly(plan.backend, who, kind, size) for _ in range(times)]
    return mean(each.microseconds for each in flown)


async def _uncollected(case: Case) -> float:
    gc.disable()
    try:
        return await case()
    finally:
        gc.enable()


async def _traced(backend: str, who: str, kind: Kind, size: int) -> float:
    tracemalloc.start()
    try:
        flown = await _fly(backend, who, kind, size, lambda: tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return flown.bytes


def _large(plan: Plan, kind: Kind, size: int) -> list[Result]:
    on: dict[str, Flown] = {}
    off: dict[str, Flown] = {}
    _touch(size * ROUGH_BYTES[kind])
    for who in WHOS:
        off[who] = _in_new_process(plan.backend, who, kind, size, collect=False)
        if _collected(plan, kind, size):
            on[who] = _in_new_process(plan.backend, who, kind, size, collect=True)
    samples: Samples = {who + OFF: [flown.microseconds] for who, flown in off.items()}
    samples |= {who: [flown.microseconds] for who, flown in on.items()}
    memory: Samples = {who: [flown.bytes] for who, flown in off.items()}
    return [
        _result(plan, COST[kind], size, samples),
        _result(plan, MEMORY[kind], size, memory, unit="bytes"),
    ]


def _collected(plan: Plan, kind: Kind, size: int) -> bool:
    """Whether there is time to measure so many with the collector on too."""
    return size <= LARGEST_COLLECTED and (kind == "waiters" or plan.backend == "asyncio")


def _result(plan: Plan, label: str, size: int, samples: Samples, *, unit: str = "µs") -> Result:
    return Result(
        question="scale",
        backend=plan.backend,
        label=label,
        size=size,
        floor=FLOOR,
        samples=samples,
        unit=unit,
    )


def _in_new_process(backend: str, who: str, kind: Kind, size: int, *, collect: bool) -> Flown:
    """Measure where no memory has been freed that could be used again."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_fly_alone, backend, who, kind, size, collect).result()


def _touch(size: int) -> None:
    """Use so many bytes of memory once.

    A virtual machine may take memory that is free back from its guest, and then who uses it first
    waits for the host: that is not to be the case that happens to come first.
    """
    with mmap(-1, size) as memory:
        for page in range(0, size, PAGESIZE):
            memory[page] = 1


def _fly_alone(backend: str, who: str, kind: Kind, size: int, collect: bool) -> Flown:
    me = psutil.Process()
    gc.collect()
    gc.freeze()
    if not collect:
        gc.disable()
    return run_on(backend, _fly, backend, who, kind, size, lambda: me.memory_info().rss)


async def _fly(
    backend: str, who: str, kind: Kind, size: int, meter: Callable[[], int] = lambda: 0
) -> Flown:
    """Have so many calls in flight at once; say what that took."""
    keys = some_keys(size) if kind == "keys" else ["key"] * size
    work = GatedWork()
    function = work.function()
    async with anyio.create_task_group() as tasks, open_anyflight(function) as ours:
        call = ours
        if who == FLOOR:
            call = bare_tasks(tasks, function) if kind == "keys" else bare_wait(work.gate)
        readings = [meter()]
        times = await time_together(
            backend, call, keys, work.gate, turns=TURNS, waiting=lambda: readings.append(meter())
        )
    return Flown(
        microseconds=sum(times) / size * MICRO,
        bytes=(readings[1] - readings[0]) / size,
    )
