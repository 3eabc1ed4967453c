"""Shadow mode: every call runs by itself, and the table counts what would have been shared."""

from __future__ import annotations

__all__ = ("Shadow",)

import math
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from anyio import current_effective_deadline, current_time

from ._checks import check_hashable
from ._errors import TooManyWaitersError
from ._flight import Flight, FlightTable
from ._outcome import Cancellation, Failure, Outcome, Value
from ._owner import Owner

V = TypeVar("V")


class ShadowFlight(Flight):
    """A flight that would have been; one of its calls stands for the leader."""

    __slots__ = ("running", "seen")

    def __init__(self, key: Hashable) -> None:
        super().__init__(key)
        #: The calls whose own executions have not ended, in the order in which they came. The
        #: first of them stands for the leader: its end is the landing.
        self.running: list[object] = []
        #: How a call ended that did not stand for the leader: the outcome if no other is left.
        self.seen: Outcome[None] = Cancellation("its calls were cancelled")


class Shadow:
    """Runs each call in the caller's own task, as if there were no coalescer.

    What is counted is a little less than what would be shared: a queued flight is taken to land
    when its own execution ends here, though it would not have begun before the one in front of it
    had landed.

    :param table: where the flights are noted
    """

    __slots__ = ("_owner", "_table")

    def __init__(self, table: FlightTable[ShadowFlight], owner: Owner) -> None:
        self._table = table
        self._owner = owner

    async def execute(
        self,
        key: Hashable,
        func: Callable[..., Awaitable[V]],
        args: tuple[Any, ...],
        *,
        fresh: bool,
    ) -> V:
        """Return ``await func(*args)``, and take note of it."""
        check_hashable(key)
        try:
            flight = self._board(key, fresh=fresh)
        except TooManyWaitersError:
            self._owner.refused += 1
            flight = None
        if flight is None:
            return await func(*args)
        call = object()
        flight.running.append(call)
        outcome: Outcome[None] | None = None
        try:
            value = await func(*args)
            outcome = Value(None)
        except Exception as exc:
            outcome = Failure(exc)
            raise
        else:
            return value
        finally:
            self._end(flight, call, outcome)
            del flight, outcome  # the traceback of an error holds this frame

    def detach(self, flight: ShadowFlight) -> None:
        """Take the flight out of the table; the one behind it takes its place."""
        self._begin(self._table.detach(flight))

    def _board(self, key: Hashable, *, fresh: bool) -> ShadowFlight | None:
        """Take a call aboard; None if it would not have started a flight, being cancelled."""
        overdue = self._table.overdue(key, current_time())
        if overdue is not None:
            self.detach(overdue)
        flight = self._table.join(key, fresh=fresh)
        if flight is not None or current_effective_deadline() == -math.inf:
            return flight
        flight = ShadowFlight(key)
        self._table.add(flight)
        if flight.predecessor is None:
            self._begin(flight)
        return flight

    def _begin(self, flight: ShadowFlight | None) -> None:
        if flight is not None:
            self._table.begin(flight, current_time())

    def _end(self, flight: ShadowFlight, call: object, outcome: Outcome[None] | None) -> None:
        """Take note of the end of a call; without an outcome it was cancelled."""
        leads = flight.running[0] is call
        flight.running.remove(call)
        if outcome is None:
            # The leader would have gone on, as long as others wait: the next one stands for it.
            self._table.leave(flight)
            leads = not flight.running
            outcome = flight.seen
        flight.seen = outcome
        if leads:
            self._begin(self._table.land(flight, outcome))
