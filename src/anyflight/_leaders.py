"""The leaders: the tasks that run the work of flights, from take-off to landing."""

from __future__ import annotations

__all__ = ("Leaders", "LedFlight")

from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context, copy_context
from inspect import isawaitable
from typing import Any

from anyio import Event, TaskHandle, current_time

from ._checks import not_awaitable
from ._flight import Flight, FlightTable, Place
from ._outcome import OWNER_GONE, Failure, Outcome, Value, judge
from ._owner import Owner, Phase


class LedFlight(Flight):
    """A flight with what its leader needs, and what its waiters wait for."""

    __slots__ = ("context", "event", "landing", "leader", "work")

    def __init__(
        self, key: Hashable, work: tuple[Callable[..., Awaitable[Any]], tuple[Any, ...]]
    ) -> None:
        super().__init__(key)
        #: The starter's function and arguments.
        self.work = work
        #: The context to start the leader in; None: the one that is current when it is started.
        self.context: Context | None = None
        #: The task that runs the work, from take-off on.
        self.leader: TaskHandle[None]
        #: Set by the landing, if the flight was queued: it had waiters before it had a leader.
        self.event: Event | None = None
        #: What the waiters wait for: that event, else the end of the leader, which costs nothing
        #: more. Written once, before anybody waits.
        self.landing: TaskHandle[None] | Event


class Leaders:
    """Starts and cancels leaders, as the table says and in the task group of the owner."""

    __slots__ = ("_owner", "_table")

    def __init__(self, table: FlightTable[LedFlight], owner: Owner) -> None:
        self._table = table
        self._owner = owner

    def start(
        self, key: Hashable, func: Callable[..., Awaitable[Any]], args: tuple[Any, ...]
    ) -> LedFlight:
        """Add a flight with one waiter, the starter; it takes off now, or is queued."""
        flight = LedFlight(key, (func, args))
        self._table.add(flight)
        flight.context = self._owner.context
        if flight.place is Place.QUEUED:
            flight.landing = flight.event = Event()
            # It will be started from its predecessor's task: the caller's context is here and now.
            if flight.context is None:
                flight.context = copy_context()
        else:
            self._take_off(flight)
            flight.landing = flight.leader
        return flight

    def promote(self, successor: LedFlight | None) -> None:
        """Let the flight take off, if there is one, that was queued behind another."""
        if successor is None:
            return
        try:
            self._take_off(successor)
        except Exception:  # noqa: BLE001 - it has landed with that: a concern of its waiters only
            _wake(successor)

    def abort(self) -> None:
        """Refuse new calls, and give up what has not begun; the task group cancels what has."""
        self._owner.phase = Phase.ABORTING
        for flight in self._table.abort(OWNER_GONE):
            _wake(flight)

    def clear(self) -> None:
        """Give up what is left when the task group has ended: flights whose leader never ran.

        On asyncio that is what a native ``cancel()`` of a leader's task does before its first step,
        and then its handle does not finish either: `TaskHandle` sets its event in a coroutine that
        was never entered (anyio 4.14 to 4.16). No waiter shall hang for that.
        """
        for flight in [one for one in self._table if one.began is None]:
            self._table.land(flight, OWNER_GONE)
            _wake(flight)
            flight.leader.coro.close()
            # There is no public way to it.
            flight.leader._finished_event.set()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def _take_off(self, flight: LedFlight) -> None:
        leader = self._lead(flight)
        try:
            flight.leader = self._owner.start(leader, context=flight.context)
        except Exception as exc:
            leader.close()
            self._table.land(flight, Failure(exc))
            raise

    async def _lead(self, flight: LedFlight) -> None:
        """Run the work; let nothing out that is not meant for the owner.

        On asyncio a cancellation that leaves a task cancels the whole group. So none leaves, whose
        ever it was: with its landing a leader is at its end anyway.
        """
        if self._owner.phase is Phase.ABORTING:
            self._land(flight, OWNER_GONE)
        if not self._table.begin(flight, current_time()):
            return  # its owner is gone, or every waiter left, before this first step
        func, args = flight.work
        outcome: Outcome[Any] | None
        try:
            result = func(*args)
            if not isawaitable(result):
                raise not_awaitable(func, result)  # noqa: TRY301 - an error of the work like others
            outcome = Value(await result)
        except BaseException as exc:
            outcome = judge(exc)
            if outcome is None:
                self.abort()
                self._land(flight, OWNER_GONE)
                del flight
                raise
            if outcome is OWNER_GONE and flight.waiters:
                self.abort()  # not abandoned, so it is the owner: what is queued must not take off
        self._land(flight, outcome)
        # From Python 3.12 on, the frames of the work lead back to this one (`f_back`) and live as
        # long as its exception does: nothing that holds the exception may be left in here.
        del flight, outcome

    def _land(self, flight: LedFlight, outcome: Outcome[Any]) -> None:
        successor = self._table.land(flight, outcome)
        _wake(flight)
        self.promote(successor)


def _wake(flight: LedFlight) -> None:
    """Wake the waiters of a flight that has landed, as far as its leader's end does not do it."""
    if flight.event is not None:
        flight.event.set()
