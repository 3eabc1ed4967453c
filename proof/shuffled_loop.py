"""An event loop of asyncio with a clock of its own, which takes the steps of tasks in any order.

**What it reorders, and why it may.** asyncio promises that callbacks run in the order in which they
were registered, and it promises nothing about the order in which tasks take their steps, other than
what follows from that by the way a task happens to be built: its steps are callbacks. So callbacks
that are no steps stay where they are, each step of a task takes the place of some step that was due
too, and who draws which place is drawn by lot. What a task sees of that is what it would see if
another task, which it knows nothing of, had taken one more turn before waking it. No step is left
out, none is made twice, none is made before it was due, and a callback runs after whatever was
registered before it, steps excepted.

**The clock.** Where the loop would sleep, time jumps to the next timer instead: that is what
Trio's ``MockClock(autojump_threshold=0)`` does. With neither a timer nor anything ready it would
sleep for ever, so it says that it hangs.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from random import Random
from typing import Any, TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")


MOST_TURNS = 10_000
"""Of the loop, in one moment; no program takes as many."""


class HangError(Exception):
    """Raised out of the loop when nothing in it can ever happen again."""


class VirtualTime(selectors.SelectSelector):
    """Waits for nothing: where it would, it puts the clock forward.

    :ivar now: seconds since the loop was made
    """

    now = 0.0
    _turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready (a signal may be)."""
        ready = super().select(0)
        # What is to be cancelled and waits for time in a task that anyio does not know is
        # cancelled again in each turn. On a real clock that ends some time, here it would not.
        self._turns = self._turns + 1 if timeout == 0 else 0
        if self._turns > MOST_TURNS:
            raise HangError("the loop turns and turns, and no time passes")
        if not ready and timeout is None:
            raise HangError("every task waits, and for no time")
        if not ready and timeout is not None:
            self.now += max(timeout, 0.0)
        return ready


class ShuffledLoop(asyncio.SelectorEventLoop):
    """Takes the steps of its tasks in an order that the seed decides.

    :param seed: of the order; None for the order that asyncio has
    :param before_step: called before each step of a task; must not raise
    """

    def __init__(self, seed: int | None, *, before_step: Callable[[], object]) -> None:
        self._virtual_time = VirtualTime()
        super().__init__(self._virtual_time)
        self._lot = None if seed is None else Random(f"schedule {seed}")
        self._before_step = before_step
        # The steps that are due, with the numbers of their tasks. Sorted before one is drawn, so
        # that it does not depend on the order in which a set of tasks was walked through.
        self._due: list[tuple[int, Callable[[], object]]] = []
        self._number_of: dict[asyncio.Task[Any], int] = {}
        self._nowhere = Context()

    def time(self) -> float:
        """Return the seconds since the loop was made."""
        return self._virtual_time.now

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: Unpack[Ts],
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Register a callback; if it is a step of a task, a place for some step."""
        # How asyncio itself recognises a step, when it prints a handle.
        task = getattr(callback, "__self__", None)
        if not isinstance(task, asyncio.Task):
            return super().call_soon(callback, *args, context=context)
        number = self.number_of(task)
        context = copy_context() if context is None else context
        self._due.append((number, partial(context.run, callback, *args)))
        return super().call_soon(self._take_a_step, context=self._nowhere)

    def number_of(self, task: asyncio.Task[Any]) -> int:
        """Return the number of a task: the order in which the loop came to know it."""
        return self._number_of.setdefault(task, len(self._number_of))

    def _take_a_step(self) -> None:
        self._before_step()
        position = 0
        if self._lot is not None:
            self._due.sort(key=lambda due: due[0])
            position = self._lot.randrange(len(self._due))
        _, step = self._due.pop(position)
        step()
