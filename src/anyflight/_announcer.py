"""Telling instruments what happens, without harm from any of them."""

from __future__ import annotations

__all__ = ("Announcer",)

import logging
from collections.abc import Iterable
from typing import Any, cast

from anyio import current_time

from ._events import BatchLanded, CallJoined, CallLeft, FlightLanded, FlightStarted, Instrument
from ._flight import Flight
from ._outcome import Failure, Outcome

logger = logging.getLogger("anyflight")


class Announcer:
    """Makes the event records and hands them to each instrument.

    :param name: the name of the coalescer
    """

    __slots__ = ("_instruments", "_name")

    def __init__(self, name: str, instruments: Iterable[Instrument]) -> None:
        self._name = name
        self._instruments = list(instruments)

    def started(self, flight: Flight) -> None:
        """Tell of a flight that has been added to the table."""
        flight.added = current_time()
        queued = flight.predecessor is not None
        self._tell("flight_started", FlightStarted(self._name, flight.key, queued))

    def joined(self, flight: Flight) -> None:
        """Tell of a waiter that has been added to the flight."""
        self._tell("call_joined", CallJoined(self._name, flight.key, flight.waiters))

    def left(self, flight: Flight) -> None:
        """Tell of a waiter that has been taken from the flight."""
        self._tell("call_left", CallLeft(self._name, flight.key, flight.waiters))

    def landed(self, flight: Flight) -> None:
        """Tell of the outcome of a flight that has left the table."""
        outcome, now = cast("Outcome[Any]", flight.outcome), current_time()
        began = now if flight.began is None else flight.began
        self._tell(
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
        self._tell("batch_landed", event)

    def _tell(self, method: str, event: Any) -> None:
        for instrument in tuple(self._instruments):
            try:
                getattr(instrument, method)(event)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # a cancellation too: nothing here can have been cancelled
                # By identity, and it may have been dropped in a call that it made from there.
                self._instruments = [one for one in self._instruments if one is not instrument]
                logger.exception(
                    "%r raised in %s and is told of nothing more by %r",
                    instrument,
                    method,
                    self._name,
                )
