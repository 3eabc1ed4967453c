"""The flight table: everything about flights that can be decided without waiting.

Nothing here waits, starts a task or reads a clock. Whoever uses the table does what it says: starts
the leader of a flight that may take off, cancels the leader of one that was abandoned, wakes the
waiters of one that landed. Each method is one transition, made at once and completely.

A flight goes through these states, and no others (:class:`FlightState` names them)::

    QUEUED ----> STARTING ----> RUNNING <---> ABANDONED
       |            |  (DETACHED: the last three, out of the table)
       +------------+--------------+--------------+----> LANDED

Invariants, checked after every step of the property tests:

1. ``_current[key]`` is a flight of an equal key, has not landed and is neither queued nor detached.
2. A queued flight is the successor of exactly one flight; that one is current and has begun.
3. A flight that has not begun has at least one waiter, and none has more than ``max_waiters``.
4. A flight that has landed is in no part of the table.
5. ``flights`` is the sum of ``landed`` plus the number of flights in the table, and ``waiting``
   the sum of the waiters of these.
"""

from __future__ import annotations

__all__ = ("Flight", "FlightTable")

import math
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, Self, TypeVar

from ._errors import TooManyWaitersError, shortened
from ._events import FlightInfo, FlightOutcome, FlightState
from ._observer import Observer
from ._outcome import Cancellation, Outcome


class Flight:
    """One execution of the work for one key. Only the table writes here, but where it is said."""

    __slots__ = (
        "__weakref__",
        "added",
        "began",
        "detached",
        "key",
        "outcome",
        "predecessor",
        "successor",
        "waiters",
    )

    def __init__(self, key: Hashable) -> None:
        #: As the starter gave it. Never written again.
        self.key = key
        #: How many calls wait. Starts at one, the starter; frozen by the landing.
        self.waiters = 1
        #: Whether it was taken out of the table while it runs on. Never taken back.
        self.detached = False
        #: When its function was called. Written once; None: that has not happened.
        self.began: float | None = None
        #: The queued flight behind this one. Not None only while this one is current and has begun.
        self.successor: Self | None = None
        #: The flight that this one is queued behind: whose successor it is. None in other places.
        self.predecessor: Self | None = None
        #: Written once, by the landing, after the flight has left the table; or by the leaders, if
        #: an interrupt has come in the midst of that.
        self.outcome: Outcome[Any] | None = None
        #: When it was added. Written once, by the observer if there is one, for itself alone.
        self.added: float

    @property
    def state(self) -> FlightState:
        """Where the flight stands."""
        if self.outcome is not None:
            return FlightState.LANDED
        if self.detached:
            return FlightState.DETACHED
        if self.predecessor is not None:
            return FlightState.QUEUED
        if self.began is None:
            return FlightState.STARTING
        return FlightState.RUNNING if self.waiters else FlightState.ABANDONED

    def info(self, now: float) -> FlightInfo:
        """Describe the flight as it is at the time ``now`` of the clock that `begin` was given."""
        age = 0.0 if self.began is None else now - self.began
        return FlightInfo(key=self.key, state=self.state, waiters=self.waiters, age=age)


F = TypeVar("F", bound=Flight)


class FlightTable(Generic[F]):
    """The flights in the air: at most one running and one queued flight for each key.

    :param keep_abandoned: whether an abandoned flight goes on, and may be joined again
    :param max_waiters: how many calls may wait for one flight
    :param max_join_age: how many seconds after its beginning a flight may be joined
    :param observer: told of each transition
    """

    __slots__ = (
        "_current",
        "_detached",
        "_keep_abandoned",
        "_left",
        "_max_join_age",
        "_max_waiters",
        "_observer",
        "_served",
        "flights",
        "joined",
        "landed",
    )

    def __init__(
        self,
        *,
        keep_abandoned: bool,
        max_waiters: int | None = None,
        max_join_age: float | None = None,
        observer: Observer[Flight] | None = None,
    ) -> None:
        self._keep_abandoned = keep_abandoned
        self._max_waiters = math.inf if max_waiters is None else max_waiters
        self._max_join_age = math.inf if max_join_age is None else max_join_age
        self._observer = observer
        self._current: dict[Hashable, F] = {}
        self._detached: set[F] = set()
        # Counters; each is written by the one method that makes the transition it counts.
        self.flights = 0
        self.joined = 0
        self.landed = dict.fromkeys(FlightOutcome, 0)
        self._left = 0
        self._served = 0

    def __iter__(self) -> Iterator[F]:
        """Yield the flights in the air: each current one before its queued one, then the rest."""
        for flight in self._current.values():
            yield flight
            if flight.successor is not None:
                yield flight.successor
        yield from self._detached

    def __len__(self) -> int:
        # In this order: another thread may look on, and what comes in between must not land more
        # flights than there were.
        landed = sum(self.landed.values())
        return max(self.flights - landed, 0)  # an interrupt may have come while one was added

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        gone = self._left + self._served  # first, as above
        return self.flights + self.joined - gone

    def current(self, key: Hashable) -> F | None:
        """Return the flight that holds the place of ``key``: starting, running or abandoned."""
        flight = self._current.get(key)
        if flight is not None and flight.outcome is not None:  # as in `join`
            del self._current[key]
            return None
        return flight

    def overdue(self, key: Hashable, now: float) -> F | None:
        """Return the flight of ``key`` if it could be joined but for its age; then `detach` it.

        One that is being cancelled stays: what is queued must not overlap with its clean-up.
        """
        flight = self.current(key)
        if flight is None or flight.began is None or now - flight.began <= self._max_join_age:
            return None
        return flight if flight.waiters or self._goes_on(flight) else None

    def join(self, key: Hashable, *, fresh: bool) -> F | None:
        """Add a waiter to the flight of ``key`` that it may share, and return that flight.

        None if there is no such flight; then `add` one. With ``fresh``, a flight that has begun
        will not do: its result may have been computed before this call was made.

        :raises TooManyWaitersError: if ``max_waiters`` calls wait for it
        """
        flight = self._current.get(key)
        if flight is None:
            return None
        if flight.outcome is not None:  # left behind by a key whose hash changed in flight
            del self._current[key]
            return None
        if flight.began is not None and (fresh or not (flight.waiters or self._goes_on(flight))):
            flight = flight.successor
            if flight is None:
                return None
        if flight.waiters >= self._max_waiters:
            message = f"{flight.waiters} calls wait for key {shortened(key)} already"
            del flight  # the error may be kept for long, and with it this frame
            raise TooManyWaitersError(message, key)
        flight.waiters += 1
        self.joined += 1
        if self._observer is not None:
            self._tell(self._observer.joined, flight)
        return flight

    def add(self, flight: F) -> None:
        """Give a new flight, for which `join` found no other, its place: current, else queued."""
        holder = self._current.setdefault(flight.key, flight)
        if holder is not flight:
            if holder.began is None or holder.successor is not None:
                raise ValueError("there is a flight to join, so none may be added")
            flight.predecessor = holder
            holder.successor = flight
        self.flights += 1
        if self._observer is not None:
            self._tell(self._observer.started, flight)

    def begin(self, flight: F, now: float) -> bool:
        """Let the leader take its first step; False if the flight has landed meanwhile.

        This is the moment after which the flight counts as running: nothing must come between it
        and the call of the function.
        """
        if flight.outcome is not None:
            return False
        flight.began = now
        return True

    def leave(self, flight: F) -> bool:
        """Take a waiter away; True if the flight is abandoned, and its leader must be cancelled.

        A flight that has landed is left alone. One that has not begun and has lost its last waiter
        lands here: its function is never called, so there is no clean-up to wait for.
        """
        if flight.outcome is not None:
            return False
        flight.waiters -= 1
        self._left += 1
        if self._observer is not None:
            self._observer.left(flight)
        if flight.waiters:
            return False
        if flight.began is None:
            self.land(flight, Cancellation("every waiter left before its function was called"))
            return True
        return not self._goes_on(flight)

    def land(self, flight: F, outcome: Outcome[Any]) -> F | None:
        """End a flight; return the one behind it, which takes off now.

        A flight lands once: for one that has landed this does nothing.

        The order matters. First the flight leaves the table, then it stores its outcome; the caller
        wakes the waiters after that. A call made by any of them therefore starts a new flight.
        """
        if flight.outcome is not None:
            return None
        successor = self._remove(flight)
        flight.outcome = outcome
        self._served += flight.waiters
        self.landed[outcome.kind] += 1
        if self._observer is not None:
            self._observer.landed(flight)
        return successor

    def detach(self, flight: F) -> F | None:
        """Take a current flight out of the table though it runs on; return the one behind it."""
        successor = self._remove(flight)
        flight.detached = True
        self._detached.add(flight)
        return successor

    def abort(self, outcome: Cancellation) -> list[F]:
        """Land every queued flight; return them. The others land when their leaders end."""
        for flight in (queued := self.queued()):
            self.land(flight, outcome)
        return queued

    def queued(self) -> list[F]:
        """Return the flights that wait for the one before them to end."""
        return [flight for flight in self if flight.predecessor is not None]

    def _goes_on(self, _flight: F) -> bool:
        """Whether it goes on, and may be joined, though it has begun and every waiter has left."""
        return self._keep_abandoned

    def _tell(self, came: Callable[[Flight], None], flight: F) -> None:
        """Tell the observer of a waiter that has come, who leaves if that is interrupted."""
        try:
            came(flight)
        except BaseException:  # a KeyboardInterrupt: no Exception comes out of an observer
            self.leave(flight)
            raise

    def _remove(self, flight: F) -> F | None:
        """Take a flight out; give its place, if that is its own, to the one behind it."""
        if flight.detached:
            self._detached.remove(flight)
        elif flight.predecessor is not None:
            flight.predecessor.successor = None
            flight.predecessor = None
        else:
            return self._remove_current(flight)
        return None

    def _remove_current(self, flight: F) -> F | None:
        """Take a current flight out, and return its successor, which takes its place.

        A flight removes only itself: if its key's hash has changed, another may be in its place.
        """
        successor, flight.successor = flight.successor, None
        if successor is not None:
            successor.predecessor = None
        try:
            holder = self._current.get(flight.key)
        except Exception:  # noqa: BLE001 - of the key's class; the flight lands all the same
            return successor
        if holder is flight:
            if successor is None:
                del self._current[flight.key]
            else:
                self._current[flight.key] = successor
        return successor
