"""How long each user was being fetched, as an instrument of a coalescer or a loader learns it.

The time that a batch waits for its turn is part of that, and no query knows of it: theory says how
often a profile is fetched if requests share a fetch for so long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from anyflight import FlightOutcome, Instrument
from demo.ledger import Fetch, cause

if TYPE_CHECKING:
    from anyflight import FlightLanded, FlightStarted
    from demo.traffic import Part


class FlightLog(Instrument):
    """Writes down the fetches that flights made."""

    def __init__(self) -> None:
        self.fetches: list[Fetch] = []
        self._causes: dict[int, Part] = {}
        """Of the flights in the air; a user has one at a time."""

    def flight_started(self, event: FlightStarted) -> None:
        """Note the cause; this runs in the task of the request."""
        self._causes[cast("int", event.key)] = cause.get()

    def flight_landed(self, event: FlightLanded) -> None:
        """Write a fetch down, unless it failed."""
        user = cast("int", event.key)
        part = self._causes.pop(user)
        if event.outcome is FlightOutcome.SUCCEEDED:
            self.fetches.append(Fetch(user, part, event.delay + event.duration))
