"""Where does the time of a joiner go, and how near to the bare wait can any joiner come?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from functools import partial
from sys import get_asyncgen_hooks
from time import perf_counter
from typing import Any

import anyio

from benchmarks._crowd import Call, all_wait, caller, time_together
from benchmarks._measure import Case, Plan, Result, Samples, measure
from benchmarks._rivals import open_anyflight
from benchmarks._work import MICRO, GatedWork, returns_at_once
from benchmarks.joiners import FLOOR, bare_wait

TITLE = "A joiner by parts"
TEXT = """
Probes of a few lines, each of which does a little more than the one before it. The first wraps the
bare wait in one more coroutine, as every function does that waits on behalf of its caller: each
wake goes through it too. The next takes the arguments of `execute`; the next looks the key up,
counts itself in, and out again if it is cancelled; the last makes the checks of bad use too, and
looks whether it is called by the work of a flight. They return no value and know no policy: what
`execute` costs beyond the last of them is for that. The callers are those of the question above. In
the last table each is started by `start_soon` of an anyio task group, as in most programs: then the
caller's own task costs more, of the floor as well.
"""
WHOLE = "anyflight"
SIZES = {1_000: 31, 10_000: 11}
"""The number of callers, and how many rounds."""
IN_A_GROUP = 1_000

_flying: ContextVar[object] = ContextVar("not set")


class Probe:
    """A flight that is joined, and the table that it is in."""

    def __init__(self, event: anyio.Event) -> None:
        self.landing = event
        self.waiters = 0
        self._table = {"key": self}
        self._hook = get_asyncgen_hooks()[0]

    async def wrapped(self, _key: str) -> None:
        """Wait in one more coroutine."""
        await self.landing.wait()

    async def with_signature(
        self,
        _key: str,
        _func: Callable[..., Awaitable[Any]],
        *_args: Any,
        fresh: bool = False,
        timeout: float | None = None,
        fallback: Callable[..., Awaitable[Any]] | None = None,
    ) -> None:
        """Take what `Coalescer.execute` takes."""
        if fresh or timeout is not None or fallback is not None:
            raise NotImplementedError
        await self.landing.wait()

    async def counted(
        self,
        key: str,
        _func: Callable[..., Awaitable[Any]],
        *_args: Any,
        fresh: bool = False,
        timeout: float | None = None,
        fallback: Callable[..., Awaitable[Any]] | None = None,
    ) -> None:
        """Find the flight, join it, and leave it if the wait is cancelled."""
        if fresh or timeout is not None or fallback is not None:
            raise NotImplementedError
        flight = self._join(key)
        try:
            await flight.landing.wait()
        except BaseException:
            flight.waiters -= 1
            raise

    async def checked(
        self,
        key: str,
        func: Callable[..., Awaitable[Any]],
        *_args: Any,
        fresh: bool = False,
        timeout: float | None = None,
        fallback: Callable[..., Awaitable[Any]] | None = None,
    ) -> None:
        """Make the checks of bad use as well, and look whether this is a call within a flight."""
        if fresh or timeout is not None or fallback is not None:
            raise NotImplementedError
        if not callable(func) or get_asyncgen_hooks()[0] is not self._hook:
            raise RuntimeError
        flight = self._join(key)
        try:
            if _flying.get(None) is None:
                await flight.landing.wait()
        except BaseException:
            flight.waiters -= 1
            raise

    def _join(self, key: str) -> Probe:
        flight = self._table[key]
        flight.waiters += 1
        return flight


PROBES: dict[str, Callable[[Probe], Call]] = {
    "one more coroutine": lambda probe: probe.wrapped,
    "and the signature": lambda probe: lambda key: probe.with_signature(key, returns_at_once, key),
    "and the key looked up": lambda probe: lambda key: probe.counted(key, returns_at_once, key),
    "and the checks": lambda probe: lambda key: probe.checked(key, returns_at_once, key),
}

Together = Callable[[Call, list[str], anyio.Event], Coroutine[Any, Any, float]]
"""Makes one call for each key at once, and returns how many seconds that took."""


async def run(plan: Plan) -> list[Result]:
    """Measure the probes beside the floor and the whole."""
    results: list[Result] = []
    for number, rounds in SIZES.items():
        size = plan.size(number)
        samples = await _measure(partial(_in_bare_tasks, plan.backend), size, plan.rounds(rounds))
        results.append(_result(plan, f"{size:,} joiners by parts", samples))
    size = plan.size(IN_A_GROUP)
    samples = await _measure(_in_a_group, size, plan.rounds(SIZES[IN_A_GROUP]))
    results.append(_result(plan, f"{size:,} joiners by parts, in an anyio task group", samples))
    return results


def _result(plan: Plan, label: str, samples: Samples) -> Result:
    return Result(
        question="joiner_parts",
        backend=plan.backend,
        label=label,
        size=0,
        floor=FLOOR,
        samples=samples,
    )


async def _measure(together: Together, size: int, rounds: int) -> Samples:
    keys = ["key"] * size

    async def floor() -> float:
        event = anyio.Event()
        return await together(bare_wait(event), keys, event) / size * MICRO

    async def probe(call_of: Callable[[Probe], Call]) -> float:
        event = anyio.Event()
        return await together(call_of(Probe(event)), keys, event) / size * MICRO

    async def whole() -> float:
        work = GatedWork()
        async with open_anyflight(work.function()) as call:
            return await together(call, keys, work.gate) / size * MICRO

    probes: dict[str, Case] = {name: partial(probe, each) for name, each in PROBES.items()}
    return await measure({FLOOR: floor, **probes, WHOLE: whole}, rounds=rounds)


async def _in_bare_tasks(backend: str, call: Call, keys: list[str], gate: anyio.Event) -> float:
    return sum(await time_together(backend, call, keys, gate))


async def _in_a_group(call: Call, keys: list[str], gate: anyio.Event) -> float:
    ended: list[object] = []
    began = perf_counter()
    async with anyio.create_task_group() as tasks:
        for key in keys:
            tasks.start_soon(caller, call, key, ended)
        await all_wait()
        gate.set()
    return perf_counter() - began
