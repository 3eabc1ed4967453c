"""What a coalescer and a batch loader have in common: an end, and flights in the air."""

from __future__ import annotations

__all__ = ("Owning",)

from types import TracebackType
from typing import Any

from anyio import current_time

from ._events import FlightInfo
from ._flight import FlightTable
from ._leaders import Leaders
from ._owner import Owner


class Owning:
    """Owns the leaders of the flights in a table."""

    _owner: Owner
    _leaders: Leaders
    #: What it is asked about, which in shadow mode is not what the leaders see.
    _table: FlightTable[Any]

    def __repr__(self) -> str:
        return f"<{self._owner}, {len(self._table)} in flight>"

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        """Close it: refuse new calls, and wait until all flights have landed."""
        self._owner.check_entered()
        try:
            return await self._leaders.end(exc_val)
        finally:
            del exc_val, exc_tb  # whose frames may lead here

    def flights(self) -> tuple[FlightInfo, ...]:
        """Describe every flight in the air, a queued one right after the one it waits for.

        Of a batch loader, each key has a flight. One whose batch is pending is ``STARTING``; one
        that every waiter has left, while its batch runs for other keys, is ``ABANDONED``, and can
        be joined.

        :raises RuntimeError: in another event loop or thread than where this is open, or outside
            of a task
        """
        self._owner.check_loop()
        if not len(self._table):
            return ()  # there may be no event loop, and no time
        now = current_time()
        return tuple(flight.info(now) for flight in self._table)
