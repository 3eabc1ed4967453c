"""The leaders: the tasks that run the work of flights, from take-off to landing.

A task, its handle and its cancel scope cost more than all else in a flight. So a leader whose
flight has landed as it should parks, up to `MAX_PARKED` of them, and takes the next flight,
whatever its key. It ends instead if it has been cancelled, or if its work has: what a cancellation
leaves behind in a task is not the next flight's business.
"""

from __future__ import annotations

__all__ = ("MAX_PARKED", "Leaders")

import math
from collections.abc import Hashable
from contextlib import suppress
from contextvars import Context, copy_context
from inspect import isawaitable
from typing import Any, cast

from anyio import (
    CapacityLimiter,
    Event,
    current_effective_deadline,
    current_time,
    get_cancelled_exc_class,
    get_current_task,
)

from ._checks import not_awaitable
from ._deadlines import Deadlines
from ._deadlock import enter
from ._flight import FlightTable
from ._in_context import InContext
from ._led_flight import Leader, LedFlight, Work
from ._outcome import OWNER_GONE, Cancellation, Expiry, Failure, Outcome, Value, judge
from ._owner import Owner, Phase
from ._policies import Policies

#: How many leaders at most wait for a flight. Enough for the flights that are in the air at once in
#: a busy service; little enough (about 5 kB each) not to be noticed after a burst.
MAX_PARKED = 64


class Leaders:
    """Starts and cancels leaders, as the table says and in the task group of the owner."""

    __slots__ = ("_deadlines", "_limiter", "_name", "_owner", "_parked", "_policies", "_table")

    def __init__(self, table: FlightTable[LedFlight], owner: Owner, policies: Policies) -> None:
        self._table = table
        self._owner = owner
        self._policies = policies
        self._name = f"{owner.label} leader"
        self._limiter = policies.limiter
        timeout = policies.flight_timeout
        self._deadlines = None if timeout is None else Deadlines(owner, timeout, self._expire)
        self._parked: list[Leader] = []

    def start(self, key: Hashable, work: Work) -> LedFlight:
        """Add a flight with one waiter, the starter; it takes off now, or is queued."""
        if self._owner.hook_is_shared:
            self._owner.check_loop()
        # It may be queued, and started from another task: the caller's context is here and now.
        context = self._context()
        flight = LedFlight(key, work, context, self._limiter, self._owner.new_event())
        self._table.add(flight)
        # An instrument that was told of it may have forgotten the one in front: then it is off.
        if flight.predecessor is None and flight.leader is None:
            self._take_off(flight)
        return flight

    def _context(self) -> Context:
        """Return the context for work of which the starter's call is being made."""
        if self._policies.context == "caller":
            return copy_context()
        return self._owner.context.copy()

    def leave(self, flight: LedFlight) -> None:
        """Take a waiter away; the last one cancels the leader, unless abandoned work goes on."""
        if not self._table.leave(flight):
            return
        if flight.began is None:  # it has landed with that
            flight.landing.set()  # which the owner may wait for
            if self._deadlines is not None:
                self._deadlines.discard(flight)
        if flight.leader is None:
            return
        # A leader on its way to its first step finds the flight landed, and need not end for that;
        # one that waits for a token would go on waiting.
        if flight.began is not None or self._limiter is not None:
            flight.leader.cancel()

    def detach(self, flight: LedFlight) -> None:
        """Take the flight out of the table; the one behind it takes off beside it."""
        self._promote(self._table.detach(flight))

    async def end(self, exc: BaseException | None) -> bool:
        """End with the block of the owner, which is left normally or with an exception."""
        try:
            if exc is None:
                self._close()
                await self._until_nothing_is_queued()
            else:
                self.abort()
            return await self._owner.close(exc)
        finally:
            self._clear()
            del exc  # whose frames may lead here

    async def _until_nothing_is_queued(self) -> None:
        """Wait, so as to be cancelled with the owner before a leader has cleaned up."""
        try:
            for landing in self._queued():
                await landing.wait()
        except BaseException as exc:
            self.abort()
            await self._owner.close(exc)
            raise

    def _queued(self) -> list[Event]:
        """Return the landings of the flights that are queued."""
        return [flight.landing for flight in self._table.queued()]

    def _close(self) -> None:
        """Refuse new calls, and let those end that have nothing to do."""
        self._owner.end_calls(Phase.CLOSING)
        while self._parked:
            self._parked.pop().call.set()
        if self._deadlines is not None:
            self._deadlines.end_if_idle()

    def abort(self) -> None:
        """Refuse new calls, and give up what has not begun; the task group cancels what has."""
        self._owner.end_calls(Phase.ABORTING)
        for flight in self._table.abort(OWNER_GONE):
            flight.landing.set()

    def _clear(self) -> None:
        """Give up what is left when the task group has ended: flights whose leader never ran.

        On asyncio that is what a native ``cancel()`` of a leader's task does before its first step.
        """
        for flight in tuple(self._table):
            self._table.land(flight, OWNER_GONE)
            flight.landing.set()
            if flight.leader is not None:
                flight.leader.handle.coro.close()
        self._parked.clear()
        if self._deadlines is not None:
            self._deadlines.clear()

    def _take_off(self, flight: LedFlight) -> None:
        try:
            if self._deadlines is not None:
                self._deadlines.add(flight)
            if self._parked:
                leader = flight.leader = self._parked.pop()
                leader.flight = flight
                leader.call.set()
            else:
                leader = flight.leader = Leader(flight)
                leader.handle = self._owner.start(self._lead(leader), name=self._name)
        except BaseException as exc:
            self._land(flight, Failure(exc) if isinstance(exc, Exception) else OWNER_GONE)
            raise

    def _promote(self, successor: LedFlight | None) -> None:
        """Let the flight take off, if there is one, that was queued behind another."""
        if successor is not None:
            with suppress(Exception):  # it has landed with that: a concern of its waiters only
                self._take_off(successor)

    def _expire(self, flight: LedFlight) -> None:
        timeout = cast("float", self._policies.flight_timeout)
        self._land(flight, Expiry(timeout, began=flight.began is not None))
        cast("Leader", flight.leader).cancel()

    def _land(self, flight: LedFlight, outcome: Outcome[Any]) -> None:
        behind = flight.successor
        try:
            successor = self._table.land(flight, outcome)
            flight.landing.set()
        except BaseException:
            # On Trio a KeyboardInterrupt comes anywhere, in an instrument too. What the table has
            # let go of by then would not be found by `clear`, and nobody shall wait for it.
            if flight.outcome is None:
                flight.outcome = outcome
            flight.landing.set()
            if behind is not None:
                self._land(behind, OWNER_GONE)
            raise
        # In this order: while closing, the keeper of deadlines ends when it has none left.
        self._promote(successor)
        if self._deadlines is not None:
            self._deadlines.discard(flight)

    async def _lead(self, leader: Leader) -> None:
        """Run one flight after another; let nothing out that is not meant for the owner.

        On asyncio a cancellation that leaves a task cancels the whole group. So none leaves, whose
        ever it was: with its landing a leader is at its end anyway.
        """
        cancelled = get_cancelled_exc_class()
        leader.task_id = get_current_task().id
        if current_effective_deadline() == -math.inf:
            self._hand_on(leader)
        while leader.flight is not None and await self._fly(leader) and self._park(leader):
            try:
                await leader.call.wait()
            except cancelled:
                self._hand_on(leader)

    def _park(self, leader: Leader) -> bool:
        """Let a leader wait for another flight; False if it had better end."""
        if self._owner.phase is not Phase.OPEN or len(self._parked) >= MAX_PARKED:
            return False
        leader.call = self._owner.new_event()
        self._parked.append(leader)
        return True

    def _hand_on(self, leader: Leader) -> None:
        """Let another lead the flight of a leader that was cancelled before it could begin.

        If it was cancelled with its owner, the flight ends here.
        """
        flight, leader.flight = leader.flight, None
        if flight is None:
            if leader in self._parked:
                self._parked.remove(leader)
        elif flight.outcome is not None:
            pass  # it was left, or has expired, and with that this leader was cancelled
        elif current_effective_deadline() == -math.inf:
            self.abort()
            self._land(flight, OWNER_GONE)
        else:
            self._promote(flight)

    async def _fly(self, leader: Leader) -> bool:
        """Run the work of a flight and land it; whether the leader is fit for another."""
        flight, leader.flight = cast("LedFlight", leader.flight), None
        outcome: Outcome[Any] | None
        try:
            if self._limiter is None:
                outcome = await self._run(leader, flight)
            else:
                outcome = await self._run_with_token(leader, flight, self._limiter)
        except GeneratorExit:  # the event loop is gone, and with it whoever could be told
            raise
        except BaseException as exc:
            leader.interrupted = True
            outcome = judge(exc)
            if outcome is None:
                self.abort()
                self._land(flight, OWNER_GONE)
                del flight
                raise
        if outcome is OWNER_GONE and not leader.cancelled:
            self.abort()  # it is the owner that was cancelled: what is queued must not take off
        self._land(flight, outcome)
        if flight.began is not None and isinstance(outcome, Cancellation):
            leader.interrupted = True
        # From Python 3.12 on, the frames of the work lead back to this one (`f_back`) and live as
        # long as its exception does: nothing that holds the exception may be left in here.
        del flight, outcome
        return not (leader.cancelled or leader.interrupted)

    async def _run_with_token(
        self, leader: Leader, flight: LedFlight, limiter: CapacityLimiter
    ) -> Outcome[Any]:
        try:
            await limiter.acquire_on_behalf_of(flight)
            return await self._run(leader, flight)
        finally:
            # Also if it was not taken: a native cancellation in the midst of the taking leaves the
            # token with the flight in anyio 4.14.
            with suppress(RuntimeError):
                limiter.release_on_behalf_of(flight)
            del flight

    async def _run(self, leader: Leader, flight: LedFlight) -> Outcome[Any]:
        if self._owner.phase is Phase.ABORTING:
            return OWNER_GONE
        if not self._table.begin(flight, current_time()):
            return cast("Outcome[Any]", flight.outcome)  # landed before this first step
        steps = InContext(_perform(flight), flight.context)
        try:
            return await steps
        except GeneratorExit as exc:
            if steps.closed:
                raise
            raise RuntimeError("the work raised GeneratorExit") from exc
        finally:
            leader.interrupted = steps.interrupted
            del flight, steps


async def _perform(flight: LedFlight) -> Outcome[Any]:
    """Call the function, and say what came of it; in the context of the flight."""
    enter(flight)
    func, args = flight.work
    result: Any = None
    outcome: Outcome[Any] | None = None
    try:
        result = func(*args)
        if not isawaitable(result):
            raise not_awaitable(func, result)  # noqa: TRY301 - an error of the work like others
        return Value(await result)
    except GeneratorExit:
        raise
    except BaseException as exc:
        outcome = judge(exc)
        if outcome is None:
            raise
        return outcome
    finally:
        # For the reason that `_fly` gives; and what the exception holds must not outlive its frame.
        del flight, func, args
        outcome = result = None
