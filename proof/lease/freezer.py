"""Pauses a process: its tasks make no step, whatever they wait for, until it goes on.

Trio runs the tasks that are in its queue. Of a frozen process none gets there: the moment it is put
there it is taken out, and kept until the process is thawed. Time goes on meanwhile, deadlines pass
and answers arrive, as for a process that was sent SIGSTOP; and one that was sent SIGKILL is never
thawed. There is no public way to that queue.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import trio

from proof.lease.history import Lived

living_in: ContextVar[Lived | None] = ContextVar("living_in", default=None)
"""The process to which a task belongs."""


class Freezer(trio.abc.Instrument):
    """Freezes and thaws processes."""

    def __init__(self) -> None:
        run: Any = importlib.import_module("trio._core._run")
        self._queue: Callable[[], Any] = lambda: run.GLOBAL_RUN_CONTEXT.runner.runq
        self._frozen: dict[Lived, list[trio.lowlevel.Task]] = {}

    def freeze(self, process: Lived) -> None:
        """Let no task of a process make a step, but those whose step is under way."""
        if not self._frozen:
            trio.lowlevel.add_instrument(self)
        kept = self._frozen.setdefault(process, [])
        queue = self._queue()
        for task in list(queue):
            if task.context.get(living_in) is process:
                queue.remove(task)
                kept.append(task)

    def thaw(self, process: Lived) -> None:
        """Let the process go on, if it was frozen."""
        if process not in self._frozen:
            return
        self._queue().extend(self._frozen.pop(process))
        if not self._frozen:
            trio.lowlevel.remove_instrument(self)

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Take the task, which is the last of the queue, out again if it is frozen."""
        process = task.context.get(living_in)
        if process in self._frozen:
            self._frozen[process].append(self._queue().pop())
