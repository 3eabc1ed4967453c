"""What does a key cost that is loaded in a batch with others?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Self

import anyio
from anyio.lowlevel import checkpoint

from benchmarks._crowd import caller, crowd_of, time_one_by_one
from benchmarks._loaders import LoadBatch, Loader, Loads, Settings, loaders_on
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._work import MICRO, some_keys

TITLE = "Keys that are loaded in batches"
TEXT = """
10,000 different keys, loaded in 10 batches or in 100: by a task for each key, or by one call for
all of them. Then one key at a time, each after the one before has come. A batch yields once and
returns a dict. The floor is written by hand: it knows how many keys there are, so that a batch goes
when it is full; an owned task for each batch, and a bare wait for one event in every caller.
Loaders that can wait for more keys are told not to.
"""
FLOOR = "floor: a task and an event for each batch"
TASKS = "a task for each key"
ONE_CALL = "one call for all"
ONE_BY_ONE = "one key at a time"
WHY = (
    "a key is a future of asyncio, which is written in C and costs less than a wait for an event, "
    "and a batch is a bare task, which nobody owns. Where callers of one key share the future, "
    "cancelling one of them cancels it for all"
)
KEYS = 10_000
BATCHES = (10, 100)
SINGLE = 2_000
ROUNDS = 7

Ask = Callable[[str, Loads, Sequence[str]], Awaitable[float]]
"""Asks a loader for all keys on a back end; returns the seconds."""


async def run(plan: Plan) -> list[Result]:
    """Measure a task for each key, one call for all, and one key at a time."""
    keys = some_keys(plan.size(KEYS))
    results: list[Result] = []
    for batches in BATCHES:
        size = len(keys) // batches
        each = partial(_measure, plan, keys, size=size, batches=batches)
        label = f"{len(keys):,} keys in {batches} batches"
        results.append(await each(f"{label}, {TASKS}", ask=_a_task_for_each))
        results.append(await each(f"{label}, {ONE_CALL}", ask=_one_call))
    keys = some_keys(plan.size(SINGLE))
    single = await _measure(
        plan, keys, ONE_BY_ONE, ask=_one_by_one, size=100, floor=1, batches=len(keys)
    )
    return [*results, single]


async def _measure(
    plan: Plan,
    keys: Sequence[str],
    label: str,
    *,
    ask: Ask,
    size: int,
    batches: int,
    floor: int | None = None,
) -> Result:
    """Measure one way of asking, of the floor and of every loader.

    :param size: the most keys of a batch; of the floor, if given, `floor`
    :param batches: how many there should be
    """
    notes: dict[str, str] = {}
    floor_loader = Loader(name=FLOOR, make=FloorLoader, package="")
    loads = partial(_load, plan.backend, ask, keys, notes, batches)
    cases: dict[str, Case] = {FLOOR: partial(loads, floor_loader, floor or size)}
    for loader in loaders_on(plan.backend):
        cases[loader.name] = partial(loads, loader, size)
    return Result(
        question="batches",
        backend=plan.backend,
        label=label,
        size=len(keys),
        floor=FLOOR,
        samples=await measure(cases, rounds=plan.rounds(ROUNDS)),
        notes=notes,
    )


async def _load(
    backend: str,
    ask: Ask,
    keys: Sequence[str],
    notes: dict[str, str],
    expected: int,
    loader: Loader,
    size: int,
) -> float:
    batches = 0

    async def load_batch(batch: list[str]) -> dict[str, str]:
        nonlocal batches
        batches += 1
        await checkpoint()
        return {key: key for key in batch}

    async with loader.make(load_batch, Settings(size=size)) as loads:
        seconds = await ask(backend, loads, keys)
    notes[loader.name] = "" if batches == expected else f"{batches:,} batches"
    return seconds / len(keys) * MICRO


async def _a_task_for_each(backend: str, loads: Loads, keys: Sequence[str]) -> float:
    ended: list[object] = []
    began = perf_counter()
    async with crowd_of(backend) as crowd:
        for key in keys:
            crowd.start(caller, loads.load, key, ended)
    seconds = perf_counter() - began
    _check(len(ended), len(keys))
    return seconds


async def _one_call(_: str, loads: Loads, keys: Sequence[str]) -> float:
    began = perf_counter()
    found = await loads.load_many(keys)
    seconds = perf_counter() - began
    _check(len(found), len(keys))
    return seconds


async def _one_by_one(_: str, loads: Loads, keys: Sequence[str]) -> float:
    return await time_one_by_one(loads.load, keys)


def _check(found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"{wanted - found} of {wanted} keys did not come")


class _Batch:
    def __init__(self) -> None:
        self.keys: list[str] = []
        self.found: dict[str, str] = {}
        self.landed = anyio.Event()


class FloorLoader:
    """What no loader can do without, for those who ask for whole batches while all goes well."""

    def __init__(self, load_batch: LoadBatch, settings: Settings) -> None:
        self._load_batch = load_batch
        self._size = settings.size
        self._next = _Batch()
        self._tasks = anyio.create_task_group()

    async def load(self, key: str) -> str:
        """Load a key in a batch with those that are asked for next."""
        batch = self._next
        batch.keys.append(key)
        if len(batch.keys) == self._size:
            self._tasks.start_soon(self._run, batch)
            self._next = _Batch()
        await batch.landed.wait()
        return batch.found[key]

    async def load_many(self, keys: Sequence[str]) -> dict[str, str]:
        """Load many keys."""
        batches: list[_Batch] = []
        for first in range(0, len(keys), self._size):
            batch = _Batch()
            batch.keys = [*keys[first : first + self._size]]
            self._tasks.start_soon(self._run, batch)
            batches.append(batch)
        found: dict[str, str] = {}
        for batch in batches:
            await batch.landed.wait()
            found |= batch.found
        return found

    async def _run(self, batch: _Batch) -> None:
        batch.found = await self._load_batch(batch.keys)
        batch.landed.set()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._tasks.__aexit__(exc_type, exc_val, exc_tb)
