"""The back ends on which programs run: each with a virtual clock and a schedule from a seed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import anyio

from proof import trio_schedule
from proof.shuffled_loop import ShuffledLoop

T = TypeVar("T")

BACKENDS = ("asyncio", "eager", "trio") if sys.version_info >= (3, 12) else ("asyncio", "trio")
"""Eager is asyncio with the eager task factory. uvloop is not among them: its clock is its own."""


class LoopError(Exception):
    """Raised for what an event loop would merely have logged."""


class Complaints:
    """Collects what goes wrong where nobody can raise it: in callbacks and instruments."""

    def __init__(self, before_step: Callable[[], object] | None) -> None:
        self._before_step = before_step
        self._heard: list[tuple[str, BaseException | None]] = []

    def before_step(self) -> None:
        """Call what was to be called before each step."""
        if self._before_step is None:
            return
        try:
            self._before_step()
        except Exception as exc:
            self._heard.append(("before a step", exc))

    def of_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Be the exception handler of a loop of asyncio."""
        self._heard.append((context["message"], context.get("exception")))

    def utter(self) -> None:
        """Raise the first, if there is one."""
        for text, error in self._heard:
            raise LoopError(text) from error


def run(
    main: Callable[[], Awaitable[T]],
    *,
    backend: str,
    seed: int | None,
    before_step: Callable[[], object] | None = None,
) -> T:
    """Run `main` on the schedule of a seed (None: asyncio's own order) until it ends.

    :param before_step: called before each step of a task
    """
    complaints = Complaints(before_step)
    if backend == "trio":
        options = trio_schedule.options(complaints.before_step)
        with trio_schedule.seeded_schedule(seed or 0):
            value = anyio.run(main, backend="trio", backend_options=options)
    else:
        factory = partial(_loop, seed, complaints, eager=backend == "eager")
        value = anyio.run(main, backend="asyncio", backend_options={"loop_factory": factory})
    complaints.utter()
    return value


def _loop(seed: int | None, complaints: Complaints, *, eager: bool) -> ShuffledLoop:
    loop = ShuffledLoop(seed, before_step=complaints.before_step)
    loop.set_exception_handler(complaints.of_loop)
    if eager:
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    return loop
