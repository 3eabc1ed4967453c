"""Calls of decorated functions that wait, and functions whose executions can be counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from tests.support import Caller, Work, settle


async def fly(task_group: TaskGroup, *calls: Callable[[], Awaitable[Any]]) -> list[Caller]:
    """Start each call in a task of its own, one after the other; return when all of them wait."""
    callers = [Caller() for _ in calls]
    for caller, call in zip(callers, calls, strict=True):
        task_group.start_soon(caller.run, "scope", call)
        await settle()
    return callers


async def executions(work: Work, *calls: Callable[[], Awaitable[Any]]) -> int:
    """Return how many executions of ``work`` these calls cost when all of them wait at once."""
    before = len(work.calls)
    async with anyio.create_task_group() as tasks:
        callers = await fly(tasks, *calls)
        work.go.set()
    for caller in callers:
        assert not isinstance(caller.outcome, BaseException), repr(caller.outcome)
    return len(work.calls) - before
