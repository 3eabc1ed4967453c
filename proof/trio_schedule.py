"""A schedule of Trio that a seed decides.

Trio takes all tasks that are ready, shuffles them, and lets each make a step. What it shuffles with
is `trio._core._run._r`; there is no public way to it. Trio offers it to Hypothesis, which seeds it:
its plugin (`_hypothesis_plugin_setup`) registers `_r` and sets a flag, with which the tasks are put
in the order of their making before they are shuffled. The same is done here, and undone afterwards.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio
from trio.testing import MockClock


@contextmanager
def seeded_schedule(seed: int) -> Iterator[None]:
    """Let what runs on Trio meanwhile run in the order of the seed."""
    run: Any = importlib.import_module("trio._core._run")
    state, flag = run._r.getstate(), run._ALLOW_DETERMINISTIC_SCHEDULING
    run._r.seed(f"schedule {seed}")
    run._ALLOW_DETERMINISTIC_SCHEDULING = True
    try:
        yield
    finally:
        run._r.setstate(state)
        run._ALLOW_DETERMINISTIC_SCHEDULING = flag


class Steps(trio.abc.Instrument):
    """Calls a function, which must not raise, before each step of a task."""

    def __init__(self, before_step: Callable[[], object]) -> None:
        self._before_step = before_step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - Trio's interface
        """Call the function."""
        self._before_step()


def options(before_step: Callable[[], object]) -> dict[str, Any]:
    """Return what `trio.run` is to be given: among it a clock that jumps where it would sleep."""
    return {"clock": MockClock(autojump_threshold=0), "instruments": [Steps(before_step)]}
