"""How often is the work executed if a key expires that 1,000 calls ask for at that moment?"""

from __future__ import annotations

from functools import partial

from anyio import to_thread

from benchmarks._cache_probes import TTL, Opens, opener
from benchmarks._caches import Kind, kinds_on
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._probes import CANCELLED as IS_CANCELLED
from benchmarks._virtual_time import BACKENDS, run_virtually

TITLE = "A hot key expires"
TEXT = """
A value has expired; 1,000 calls ask for it at once, and the work waits until all of them are there.
Counted is how often it is executed from then on until all calls have ended: once, if its work
succeeds; then if it fails; and if the first caller is cancelled meanwhile. The time is virtual, so
the figures are exact. The rest of the 1,000 get the old value from dogpile.cache.
"""
FLOOR = "what is needed"
CALLS = 1_000
SUCCEEDS, FAILS, CANCELLED = "the work succeeds", "the work fails", "the first caller is cancelled"
ROUNDS = 1


async def run(plan: Plan) -> list[Result]:
    """Count."""
    if plan.backend not in BACKENDS:
        return []
    results: list[Result] = []
    calls = plan.size(CALLS)
    for label in (SUCCEEDS, FAILS, CANCELLED):
        notes: dict[str, str] = {}
        cases: dict[str, Case] = {FLOOR: _once}
        for kind in kinds_on(plan.backend):
            count = partial(_executions, kind, plan.backend, label, calls, notes)
            cases[kind.name] = partial(to_thread.run_sync, count)
        results.append(
            Result(
                question="expiry",
                backend=plan.backend,
                label=f"{calls:,} calls at once: {label}",
                size=0,
                floor=FLOOR,
                samples=await measure(cases, rounds=ROUNDS),
                notes=notes,
                unit="executions",
            )
        )
    return results


async def _once() -> float:
    return 1


def _executions(kind: Kind, backend: str, label: str, calls: int, notes: dict[str, str]) -> float:
    executions, harmed = run_virtually(backend, _count, opener(kind, backend), label, calls)
    notes[kind.name] = f"{harmed} others are cancelled" if harmed else ""
    return executions


async def _count(opened: Opens, label: str, calls: int) -> tuple[int, int]:
    """Return how often the work was executed, and how many callers were cancelled by that."""
    async with opened(ttl=TTL) as probe:
        await probe.ask("key", "key1")
        await probe.pass_time(TTL + 1)
        if label == FAILS:
            probe.source.fail()
        probe.source.close_gate()
        (first,) = await probe.start("key")
        others = await probe.start("key", calls - 1)
        if label == CANCELLED:
            first.cancel()
            await probe.settle()
        await probe.open_gate()
        harmed = sum(each.outcome == IS_CANCELLED for each in others)
        return len(probe.source.loads) - 1, harmed
