"""Telling instruments what happens to flights."""

from __future__ import annotations

__all__ = ("Announcer",)

from typing import Any, cast

from anyio import current_time

from ._events import BatchLanded, CallJoined, CallLeft, FlightLanded, FlightStarted
from ._flight import Flight
from ._outcome import Failure, Outcome
from ._telling import Telling


class Announcer(Telling):
    """Makes the event records; an observer of the flight table."""

    __slots__ = ()

    def started(self, flight: Flight) -> None:
        """Tell of a flight that has been added to the table."""
        flight.added = current_time()
        queued = flight.predecessor is not None
        self.tell("flight_started", FlightStarted(self._name, flight.key, queued))

    def joined(self, flight: Flight) -> None:
        """Tell of a waiter that has been added to the flight."""
        self.tell("call_joined", CallJoined(self._name, flight.key, flight.waiters))

    def left(self, flight: Flight) -> None:
        """Tell of a waiter that has been taken from the flight."""
        self.tell("call_left", CallLeft(self._name, flight.key, flight.waiters))

    def landed(self, flight: Flight) -> None:
        """Tell of the outcome of a flight that has left the table."""
        outcome, now = cast("Outcome[Any]", flight.outcome), current_time()
        began = now if flight.began is None else flight.began
        self.tell(
            "flight_landed",
            FlightLanded(
                self._name,
                flight.key,
                outcome.kind,
                outcome.error if isinstance(outcome, Failure) else None,
                flight.waiters,
                delay=began - flight.added,
                duration=now - began,
            ),
        )

    def batch_opened(self, batch: Flight) -> None:
        """Take note of when a batch got its first key."""
        batch.added = current_time()

    def batch_landed(self, batch: Flight, keys: int) -> None:
        """Tell of the outcome of a batch that had begun."""
        outcome, began = cast("Outcome[Any]", batch.outcome), cast("float", batch.began)
        error = outcome.error if isinstance(outcome, Failure) else None
        delay, duration = began - batch.added, current_time() - began
        event = BatchLanded(self._name, keys, outcome.kind, error, delay, duration)
        self.tell("batch_landed", event)
