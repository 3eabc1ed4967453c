"""A coalescer's flights across processes: each goes through a lease."""

from __future__ import annotations

__all__ = ("Across", "check_across")

from collections.abc import Hashable
from functools import partial
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from ._checks import check_instance
from ._flight import FlightTable
from ._leaders import Leaders
from ._led_flight import LedFlight, Work
from .lease import Lease

K = TypeVar("K", bound=Hashable)


def check_across(across: Lease[Any], max_join_age: float | None) -> None:
    """Raise unless this is a lease, and no other option speaks against it."""
    check_instance(across, "across", Lease)
    if max_join_age is not None:
        raise ValueError(
            "max_join_age cannot be had with across: it lets executions of one key overlap, and a "
            "lease lets none"
        )


class Across(Generic[K]):
    """Makes the work of flights that of a lease's calls, and hears what others invalidate."""

    __slots__ = ("__weakref__", "_core", "_forgotten", "_leaders", "_lease", "_table")

    def __init__(self, lease: Lease[K], table: FlightTable[LedFlight], leaders: Leaders) -> None:
        self._lease = lease
        self._core = lease.core
        self._table = table
        self._leaders = leaders
        #: The flights that were forgotten, some of which are in the air still.
        self._forgotten: WeakSet[LedFlight] = WeakSet()

    def open(self) -> None:
        """Be told of invalidations from now on.

        :raises RuntimeError: if the lease is not open here
        """
        self._core.check_open()
        self._core.listeners.add(self)

    def join(self, key: Hashable, *, fresh: bool) -> LedFlight | None:
        """Join the flight that a call may share, if there is one, and let it be as fresh."""
        flight = self._table.join(key, fresh=fresh)
        if fresh and flight is not None:
            # It has not begun, nor asked for the lease: whoever holds that may have begun already.
            call, args = flight.work
            flight.work = partial(call, fresh=True), args
        return flight

    def work(self, key: K, work: Work, *, fresh: bool) -> Work:
        """Return the work of a flight: a call of the lease, which runs the function or waits.

        :raises TypeError: if the server has no name for the key
        :raises ValueError: if UTF-8 has no bytes for that
        """
        name = self._core.naming.name_of(key)
        func, args = work
        # Nor may what one that was forgotten runs, or waits for, be joined by way of the lease.
        fresh = fresh or self._goes_on_alone(key, name)
        return partial(self._lease.execute, fresh=fresh), (key, func, *args)

    def _goes_on_alone(self, key: K, name: str) -> bool:
        """Whether work for the key goes on that is not to be joined."""
        if any(flight.outcome is None and flight.key == key for flight in self._forgotten):
            return True
        # One that has landed at its deadline may have left work behind, which has the lease.
        return any(
            held.given_up or held.is_of(self._forgotten) for held in self._core.running(name)
        )

    def detach(self, flight: LedFlight) -> None:
        """Let no call join this flight, which has been forgotten."""
        self._forgotten.add(flight)
        self._leaders.detach(flight)

    def invalidated(self, name: str) -> None:
        """Let no call join what runs here for this key; what waits for others may be joined."""
        for held in self._core.running(name):
            flight = self._table.current(held.key)
            if flight is not None and flight.began is not None:
                self._leaders.detach(flight)

    def interrupted(self) -> None:
        """Let no call join what runs here: whether a lease of it is void, the server knows."""
        for name in self._core.running_names():
            self.invalidated(name)
