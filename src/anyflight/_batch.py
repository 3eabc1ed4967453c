"""A batch: one execution for many keys, each of which has a flight of its own.

For its leader a batch is a flight like any other. What it is for its keys is written here: they are
waited for, joined and left one by one, begin with the batch and land with it. A key's flight is

- queued, if the running flight of its key must end first. It is in no batch then;
- in a batch that has not begun, which it leaves if its last waiter does;
- in a batch that runs, where it stays whatever happens to it.
"""

from __future__ import annotations

__all__ = ("Batch", "BatchTable", "KeyFlight", "KeyTable")

from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextvars import Context
from typing import Any, cast

from anyio import CapacityLimiter, Event

from ._flight import Flight, FlightTable
from ._led_flight import LedFlight
from ._outcome import Outcome


class KeyFlight(Flight):
    """The flight of a key, which has its leader in common with others."""

    __slots__ = ("batch", "context", "counted", "landing")

    def __init__(self, key: Hashable) -> None:
        super().__init__(key)
        #: The batch that it is part of: None before it is in one, and from the landing on.
        self.batch: Batch | None = None
        #: Whether `Batch.wanted` counts it, once it is in a batch: whether it has waiters.
        self.counted = True
        #: Of the call that started it, if it was queued: for a batch that it may have to open.
        self.context: Context | None = None
        #: Set by the landing: what the waiters wait for. It is the batch's, but for one that was
        #: queued, whose waiters were there before its batch. Written before anybody waits.
        self.landing: Event


class Batch(LedFlight):
    """A flight for many keys. Its one waiter is the loader, on behalf of the keys."""

    __slots__ = ("flights", "next_limiter", "wanted")

    def __init__(
        self,
        load: Callable[[Batch], Awaitable[Any]],
        context: Context,
        slots: CapacityLimiter,
        limiter: CapacityLimiter | None,
        landing: Event,
    ) -> None:
        super().__init__(object(), (load, (self,)), context, slots, landing)
        #: The flights of its keys, in the order of arrival. Fixed by its beginning.
        self.flights: dict[KeyFlight, None] = {}
        #: Where its leader will take a token when it has a slot. None from then on.
        self.next_limiter = limiter
        #: How many of these somebody waits for. With none left it is abandoned.
        self.wanted = 0


class KeyTable(FlightTable[KeyFlight]):
    """The flights of keys. One that every waiter has left may be joined while its batch goes on."""

    __slots__ = ()

    def begin_all(self, flights: Iterable[KeyFlight], now: float) -> None:
        """Let the flights of a batch begin. None of them has landed: it would not be in there."""
        for flight in flights:
            flight.began = now

    def land_all(
        self, flights: Iterable[KeyFlight], outcomes: Iterable[Outcome[Any]]
    ) -> list[KeyFlight]:
        """Land the flights of a batch; return those behind them.

        What `land` does for one, without its calls where there is nothing special about it: with
        them, a third of the time of a key in `load_many` would go into this.
        """
        behind: list[KeyFlight] = []
        current = self._current
        for flight, outcome in zip(flights, outcomes, strict=False):
            if flight.detached or flight.successor is not None or self._observer is not None:
                successor = self.land(flight, outcome)
                if successor is not None:
                    behind.append(successor)
            else:
                try:
                    holder = current.get(flight.key)
                except Exception:  # noqa: BLE001 - as in `_remove_current`
                    holder = None
                if holder is flight:
                    del current[flight.key]
                flight.outcome = outcome
                self._served += flight.waiters
                self.landed[outcome.kind] += 1
        return behind

    def _goes_on(self, flight: KeyFlight) -> bool:
        return flight.batch is not None and flight.batch.wanted > 0


class BatchTable(FlightTable[LedFlight]):
    """The batches in the air. However one lands, its keys land with it."""

    __slots__ = ("_land_keys",)

    def __init__(self, land_keys: Callable[[Batch], None]) -> None:
        super().__init__(keep_abandoned=False)
        self._land_keys = land_keys

    def land(self, flight: LedFlight, outcome: Outcome[Any]) -> None:
        """End a batch, unless it has landed."""
        if flight.outcome is None:
            super().land(flight, outcome)
            self._land_keys(cast("Batch", flight))
