"""Where do the microseconds of an uncontended call go?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from functools import partial
from time import perf_counter

import anyio
from anyio import CancelScope, Event, current_time
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled, current_token

from benchmarks._crowd import crowd_of, time_one_by_one
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._rivals import open_anyflight
from benchmarks._work import MICRO, returns_at_once, some_keys
from benchmarks.miss import FLOOR, floor

TITLE = "An uncontended call by parts"
TEXT = """
Each part alone in a loop, less the empty loop, and what share of a whole call it is. Parts overlap:
the floor contains a task, an event, a cancel scope and two switches. A parked task waits on an
event: to wake it, and to be woken by it, takes two events and two switches.
"""
WHOLE = "an uncontended call, whole"
LOOPS = 2_000
ROUNDS = 9


async def run(plan: Plan) -> list[Result]:
    """Measure the parts beside the whole."""
    times = plan.size(LOOPS)
    cases: dict[str, Case] = {
        WHOLE: partial(_whole, times),
        FLOOR: partial(floor, returns_at_once, some_keys(times)),
        "a task of the back end, and its end": partial(_backends_task, plan, times),
        "a switch to a parked task and back": partial(_switches, times),
    }
    cases |= {name: partial(_loop, part, times) for name, part in PARTS.items()}
    cases |= {name: partial(_await_loop, part, times) for name, part in ASYNC_PARTS.items()}
    return [
        Result(
            question="parts",
            backend=plan.backend,
            label="parts of a call",
            size=0,
            floor=WHOLE,
            samples=await measure(cases, rounds=plan.rounds(ROUNDS)),
        )
    ]


async def _whole(times: int) -> float:
    async with open_anyflight(returns_at_once) as call:
        return await time_one_by_one(call, some_keys(times)) / times * MICRO


async def _switches(times: int) -> float:
    """Wake a parked task, and wait until it has woken this one; two events, two switches."""
    there, back = Event(), Event()

    async def parked() -> None:
        nonlocal there
        while True:
            await there.wait()
            there = Event()
            back.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(parked)
        await checkpoint()
        began = perf_counter()
        for _ in range(times):
            back = Event()
            there.set()
            await back.wait()
        seconds = perf_counter() - began
        tasks.cancel_scope.cancel()
    return seconds / times * MICRO


async def _backends_task(plan: Plan, times: int) -> float:
    """Start a task in the cheapest way of the back end and wait for its end, again and again."""
    began = perf_counter()
    for _ in range(times):
        async with crowd_of(plan.backend) as crowd:
            crowd.start(_nothing)
    return (perf_counter() - began) / times * MICRO


async def _loop(part: Callable[[], object], times: int) -> float:
    began = perf_counter()
    for _ in range(times):
        part()
    return _less_empty_loop(times, began)


async def _await_loop(part: Callable[[], Awaitable[object]], times: int) -> float:
    began = perf_counter()
    for _ in range(times):
        await part()
    return _less_empty_loop(times, began)


def _less_empty_loop(times: int, began: float) -> float:
    over = perf_counter()
    for _ in range(times):
        pass
    return (2 * over - began - perf_counter()) / times * MICRO


async def _nothing() -> None:
    pass


def _scope() -> None:
    with CancelScope():
        pass


class Record:
    """About what a flight table keeps of a flight."""

    __slots__ = ("began", "key", "leader", "outcome", "waiters", "work")

    def __init__(self, key: str) -> None:
        self.key = key
        self.waiters = 1
        self.began = self.leader = self.outcome = self.work = None


_table: dict[str, Record] = {}
_variable: ContextVar[object] = ContextVar("not set")


def _table_work() -> None:
    if _table.get("user:1") is None:
        record = _table.setdefault("user:1", Record("user:1"))
        if _table.get(record.key) is record:
            del _table[record.key]


PARTS: dict[str, Callable[[], object]] = {
    "make an event": Event,
    "open and leave a cancel scope": _scope,
    "copy the context": copy_context,
    "ask which event loop this is": current_token,
    "look up a context variable": partial(_variable.get, None),
    "ask the time": current_time,
    "look up, add and remove a record": _table_work,
}
ASYNC_PARTS: dict[str, Callable[[], Awaitable[object]]] = {
    "call and await a coroutine function": _nothing,
    "`checkpoint_if_cancelled()`": checkpoint_if_cancelled,
}
