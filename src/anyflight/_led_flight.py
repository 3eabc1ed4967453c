"""A flight and the task that leads it."""

from __future__ import annotations

__all__ = ("Leader", "LedFlight", "Wait", "Work")

from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeAlias

from anyio import CapacityLimiter, Event, TaskHandle

from ._flight import Flight

if TYPE_CHECKING:
    from ._batch import KeyFlight

#: The starter's function and arguments.
Work: TypeAlias = tuple[Callable[..., Awaitable[Any]], tuple[Any, ...]]


class Leader:
    """A task that runs the work of one flight after another."""

    __slots__ = ("call", "cancelled", "flight", "handle", "interrupted", "task_id")

    def __init__(self, flight: LedFlight) -> None:
        #: The flight to run next. None: the one before has not ended, or there is nothing to do.
        self.flight: LedFlight | None = flight
        #: Set to give it a flight, or to end it. A new one each time that it parks.
        self.call: Event
        self.handle: TaskHandle[None]
        #: Whether `cancel` was called. Then it ends with the flight that it runs.
        self.cancelled = False
        #: Whether any cancellation has reached it, or its work, which may have caught it: that of a
        #: scope inside the work, or a native one. Then it ends with that flight too.
        self.interrupted = False
        #: What `anyio.TaskInfo` calls it. Written by its own first step.
        self.task_id = 0

    def cancel(self) -> None:
        """Cancel the work of the flight that it runs, and end it."""
        self.cancelled = True
        self.handle.cancel()


class LedFlight(Flight):
    """A flight with what its leader needs, and what its waiters wait for."""

    __slots__ = ("context", "landing", "leader", "limiter", "waits", "work")

    def __init__(
        self,
        key: Hashable,
        work: Work,
        context: Context,
        limiter: CapacityLimiter | None,
        landing: Event,
    ) -> None:
        super().__init__(key)
        self.work = work
        #: The context to run the work in, of this flight alone.
        self.context = context
        #: Set by the landing: what the waiters wait for.
        self.landing = landing
        #: The task that runs the work, from take-off on.
        self.leader: Leader | None = None
        #: Where the leader takes a token before it begins.
        self.limiter = limiter
        #: The calls in which the work waits for flights, in their order. See `_deadlock`.
        self.waits: dict[Wait, None] = {}


class Wait:
    """A call, made by the work of a flight, that waits for another flight."""

    __slots__ = ("flight", "task_id")

    def __init__(self, flight: LedFlight | KeyFlight, task_id: int) -> None:
        #: The flight that it waits for.
        self.flight = flight
        #: The task that waits, as `anyio.TaskInfo` calls it.
        self.task_id = task_id
