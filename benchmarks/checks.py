"""What do checks of bad use cost a joiner, and what do instruments cost where there are none?"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from sys import get_asyncgen_hooks
from timeit import Timer
from typing import Any

from anyflight import Coalescer, Instrument
from benchmarks._crowd import Call, time_one_by_one, time_together
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._rivals import Work
from benchmarks._work import MICRO, GatedWork, returns_at_once, some_keys

TITLE = "Checks of bad use, and instruments"
TEXT = """
Each call checks that its function can be called, and that it is made in the event loop where the
coalescer is open. The checks are made alone in a loop, and compared with a whole joiner. A
coalescer without instruments is compared with itself, for the noise, and with one that has an
instrument which does nothing.
"""
CHECKS = {
    "that the function can be called": "not callable(func)",
    "that this is the event loop": "get_asyncgen_hooks()[0] is not self._owner.hook",
}
"""As `Coalescer.execute` has them; a test compares."""
ALL_CHECKS = " or ".join(CHECKS.values())
JOINER, BOTH = "a joiner, whole", "both checks"
WITHOUT, AGAIN, WITH = "no instruments", "no instruments, again", "one that does nothing"
LOOPS = 20_000
JOINERS = 1_000
CALLS = 2_000
ROUNDS = 15


async def run(plan: Plan) -> list[Result]:
    """Measure the checks, and the instruments."""
    return [
        await _checks(plan),
        await _instruments(plan, "instruments, a joiner", _joiners),
        await _instruments(plan, "instruments, an uncontended call", _calls),
    ]


async def _checks(plan: Plan) -> Result:
    async with Coalescer[str, str]() as coalescer:
        cases: dict[str, Case] = {JOINER: partial(_joiners, plan, [])}
        for name, check in {**CHECKS, BOTH: ALL_CHECKS}.items():
            cases[name] = partial(_alone, plan, check, coalescer)
        return await _result(plan, "checks of a call", cases)


async def _alone(plan: Plan, check: str, coalescer: Coalescer[str, str]) -> float:
    times = plan.size(LOOPS)
    names = {
        "coalescer": coalescer,
        "work": returns_at_once,
        "get_asyncgen_hooks": get_asyncgen_hooks,
    }
    setup = "self, func = coalescer, work"
    loops = [
        Timer(body, setup, globals=names) for body in (f"if {check}: raise RuntimeError", "pass")
    ]
    checked, empty = (loop.timeit(times) for loop in loops)
    return (checked - empty) / times * MICRO


async def _instruments(
    plan: Plan, label: str, one: Callable[[Plan, list[Instrument]], Coroutine[Any, Any, float]]
) -> Result:
    cases: dict[str, Case] = {
        WITHOUT: partial(one, plan, []),
        AGAIN: partial(one, plan, []),
        WITH: partial(one, plan, [Instrument()]),
    }
    return await _result(plan, label, cases)


async def _result(plan: Plan, label: str, cases: dict[str, Case]) -> Result:
    return Result(
        question="checks",
        backend=plan.backend,
        label=label,
        size=0,
        floor=next(iter(cases)),
        samples=await measure(cases, rounds=plan.rounds(ROUNDS)),
    )


async def _joiners(plan: Plan, instruments: list[Instrument]) -> float:
    keys = ["key"] * plan.size(JOINERS)
    work = GatedWork()
    async with Coalescer[str, Any](instruments=instruments) as coalescer:
        call = _call_of(coalescer, work.function())
        times = await time_together(plan.backend, call, keys, work.gate)
    return sum(times) / len(keys) * MICRO


async def _calls(plan: Plan, instruments: list[Instrument]) -> float:
    keys = some_keys(plan.size(CALLS))
    async with Coalescer[str, Any](instruments=instruments) as coalescer:
        seconds = await time_one_by_one(_call_of(coalescer, returns_at_once), keys)
    return seconds / len(keys) * MICRO


def _call_of(coalescer: Coalescer[str, Any], work: Work) -> Call:
    return lambda key: coalescer.execute(key, work, key)
