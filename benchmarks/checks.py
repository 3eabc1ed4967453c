"""What do checks of bad use cost a joiner, and what do instruments cost where there are none?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import anyflight
from anyflight import Coalescer
from anyflight._checks import check_callable
from benchmarks._crowd import Call, time_one_by_one, time_together
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._work import MICRO, GatedWork, returns_at_once, some_keys

TITLE = "Checks of bad use, and instruments"
TEXT = """
Each call checks that its function can be called, and that it is made in the event loop where the
coalescer was opened. The checks are called alone in a loop, and compared with a whole joiner.
"""
HAVE_INSTRUMENTS = "instruments" in inspect.signature(Coalescer).parameters
if HAVE_INSTRUMENTS:
    TEXT += """\
A coalescer that has no instruments is compared with itself, and with one that has one which does
nothing.
"""
JOINER = "a joiner, whole"
BOTH = "both checks"
WITHOUT, AGAIN, WITH = "no instruments", "the same, once more", "one that does nothing"
LOOPS = 20_000
JOINERS = 1_000
CALLS = 2_000
ROUNDS = 15


async def run(plan: Plan) -> list[Result]:
    """Measure the checks; and instruments, in a version that has them."""
    results = [await _checks(plan)]
    if HAVE_INSTRUMENTS:
        results += [await _instruments(plan, label, one) for label, one in _PATHS.items()]
    return results


async def _checks(plan: Plan) -> Result:
    async with Coalescer[str, str]() as coalescer:
        check_loop = coalescer._owner.check_loop  # noqa: SLF001 - there is no other way to it alone
        check_func = partial(check_callable, returns_at_once, "func")

        def both() -> None:
            check_callable(returns_at_once, "func")
            check_loop()

        cases: dict[str, Case] = {
            JOINER: partial(_joiners, plan, {}),
            "that the function can be called": partial(_alone, plan, check_func),
            "that this is the event loop": partial(_alone, plan, check_loop),
            BOTH: partial(_alone, plan, both),
        }
        samples = await measure(cases, rounds=plan.rounds(ROUNDS))
    return Result(
        question="checks",
        backend=plan.backend,
        label="checks of a call",
        size=0,
        floor=JOINER,
        samples=samples,
    )


async def _alone(plan: Plan, check: Callable[[], None]) -> float:
    times = plan.size(LOOPS)
    began = perf_counter()
    for _ in range(times):
        check()
    called = perf_counter()
    for _ in range(times):
        pass
    return (2 * called - began - perf_counter()) / times * MICRO


async def _instruments(plan: Plan, label: str, one: Callable[..., Any]) -> Result:
    silent = {"instruments": [getattr(anyflight, "Instrument")()]}  # noqa: B009
    cases: dict[str, Case] = {
        WITHOUT: partial(one, plan, {}),
        AGAIN: partial(one, plan, {}),
        WITH: partial(one, plan, silent),
    }
    return Result(
        question="checks",
        backend=plan.backend,
        label=label,
        size=0,
        floor=WITHOUT,
        samples=await measure(cases, rounds=plan.rounds(ROUNDS)),
    )


async def _joiners(plan: Plan, options: dict[str, Any]) -> float:
    size = plan.size(JOINERS)
    work = GatedWork()
    function = work.function()
    async with Coalescer[str, str](**options) as coalescer:
        call: Call = lambda key: coalescer.execute(key, function, key)  # noqa: E731
        times = await time_together(plan.backend, call, ["key"] * size, work.gate)
    return sum(times) / size * MICRO


async def _misses(plan: Plan, options: dict[str, Any]) -> float:
    keys: Sequence[str] = some_keys(plan.size(CALLS))
    async with Coalescer[str, str](**options) as coalescer:
        call: Call = lambda key: coalescer.execute(key, returns_at_once, key)  # noqa: E731
        seconds = await time_one_by_one(call, keys)
    return seconds / len(keys) * MICRO


_PATHS = {"instruments, a joiner": _joiners, "instruments, an uncontended call": _misses}
