"""Finds the tasks of the coalescer from outside, by the name that is in theirs."""

from __future__ import annotations

import asyncio
from typing import Any

import trio

from proof.shuffled_loop import ShuffledLoop


def tasks_on_trio(part: str) -> list[trio.lowlevel.Task]:
    """Return the tasks whose name contains `part`."""
    found: list[trio.lowlevel.Task] = []
    rest = [trio.lowlevel.current_root_task()]
    while rest:
        task = rest.pop()
        if task is not None:
            found.append(task)
            rest.extend(child for group in task.child_nurseries for child in group.child_tasks)
    return [task for task in found if part in task.name]


def tasks_on_asyncio(part: str) -> list[asyncio.Task[Any]]:
    """Return the tasks that have not ended and whose name contains `part`, the oldest first."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ShuffledLoop)
    found = [task for task in asyncio.all_tasks() if part in task.get_name()]
    return sorted(found, key=loop.number_of)
