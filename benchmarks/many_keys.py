"""What does a call cost in a mixture: 10,000 calls over 1,000 keys, all in flight at once?"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup

from benchmarks._crowd import Call, time_together
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._rivals import Rival, Work, rivals_on
from benchmarks._work import MICRO, GatedWork, some_keys

TITLE = "10,000 calls over 1,000 keys"
TEXT = """
As above, but one call in ten starts a flight and nine join it. The floor is one owned task for each
key, and a bare wait for its end in every caller.
"""
FLOOR = "floor: a task for each key, bare waits"
CALLS, KEYS = 10_000, 1_000
ROUNDS = 9


async def run(plan: Plan) -> list[Result]:
    """Measure."""
    distinct = plan.size(KEYS)
    keys = [*some_keys(distinct)] * (CALLS // KEYS)
    notes: dict[str, str] = {}
    cases: dict[str, Case] = {FLOOR: partial(_floor, plan.backend, keys)}
    for rival in rivals_on(plan.backend):
        cases[rival.name] = partial(_calls, plan.backend, rival, keys, distinct, notes)
    samples = await measure(cases, rounds=plan.rounds(ROUNDS))
    label = f"{len(keys):,} calls over {distinct:,} keys"
    return [
        Result(
            question="many_keys",
            backend=plan.backend,
            label=label,
            size=len(keys),
            floor=FLOOR,
            samples=samples,
            notes=notes,
        )
    ]


async def _floor(backend: str, keys: Sequence[str]) -> float:
    async with anyio.create_task_group() as tasks:
        work = GatedWork()
        times = await time_together(backend, bare_tasks(tasks, work.function()), keys, work.gate)
    return sum(times) / len(keys) * MICRO


def bare_tasks(tasks: TaskGroup, work: Work) -> Call:
    """Return a call that starts a task for a key which is new, and waits for the key's task."""
    handles: dict[str, anyio.TaskHandle[object]] = {}

    def call(key: str) -> Coroutine[Any, Any, None]:
        handle = handles.get(key)
        if handle is None:
            handle = handles[key] = tasks.start_soon(work, key)
        return handle.wait()

    return call


async def _calls(
    backend: str, rival: Rival, keys: Sequence[str], distinct: int, notes: dict[str, str]
) -> float:
    work = GatedWork()
    async with rival.open(work.function()) as call:
        times = await time_together(backend, call, keys, work.gate)
    notes[rival.name] = work.note(expected=distinct)
    return sum(times) / len(keys) * MICRO
