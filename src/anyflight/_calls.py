"""What becomes of a call: the flight that it may join, and a second attempt if that one fails."""

from __future__ import annotations

__all__ = ("Calls", "Join")

from collections.abc import Hashable
from typing import Protocol, cast

from anyio import current_time

from ._checks import check_hashable
from ._errors import TooManyWaitersError
from ._flight import FlightTable
from ._leaders import Leaders
from ._led_flight import LedFlight, Work
from ._outcome import Failing, Value
from ._owner import Owner, Phase
from ._policies import Policies


class Join(Protocol):
    """See `FlightTable.join`."""

    def __call__(self, key: Hashable, /, *, fresh: bool) -> LedFlight | None: ...


class Calls:
    """Finds flights for calls, for their second attempts too.

    :param join: joins the flight that a call may share, if there is one; by default, see
        `FlightTable.join`, one that is not too old
    """

    __slots__ = ("_leaders", "_owner", "_retry_on", "_table", "join", "retried")

    def __init__(
        self,
        table: FlightTable[LedFlight],
        owner: Owner,
        leaders: Leaders,
        policies: Policies,
        join: Join | None = None,
    ) -> None:
        self._table = table
        self._owner = owner
        self._leaders = leaders
        young = table.join if policies.max_join_age is None else self._join_young
        self.join: Join = join or young
        self._retry_on = policies.retry_on
        #: How many calls flew once more.
        self.retried = 0

    def _join_young(self, key: Hashable, *, fresh: bool) -> LedFlight | None:
        overdue = self._table.overdue(key, current_time())
        if overdue is not None:
            self._leaders.detach(overdue)
        return self._table.join(key, fresh=fresh)

    async def refuse(self, key: Hashable, error: Exception) -> None:
        """Do what is to be done before the error is raised that came of an attempt to join.

        :raises TypeError: if the key is unhashable
        """
        check_hashable(key)
        if isinstance(error, TooManyWaitersError):
            await self._owner.refuse()

    def flies_once_more(self, flight: LedFlight, *, starter: bool) -> bool:
        """Whether a call that has waited for this flight makes a second attempt."""
        if starter or not self._retry_on or isinstance(flight.outcome, Value):
            return False
        # While closing, no flight may start: then the first error stands.
        matches = cast("Failing", flight.outcome).matches(self._retry_on)
        return matches and self._owner.phase is Phase.OPEN

    def again(self, failed: LedFlight, work: Work, *, fresh: bool) -> tuple[LedFlight, bool]:
        """Give a call that joined a flight which failed the flight of its second, last attempt.

        Those that had joined the same flight wake in the same turn of the event loop, before the
        leader of a flight that the first of them starts takes its first step: so they all fly
        together. If as many calls wait already as may, the first error stands.

        :return: the flight to wait for, if need be the one that failed, and whether this call is
            its starter
        """
        self.retried += 1  # whatever comes now is counted for the second time
        try:
            flight = self.join(failed.key, fresh=fresh)
        except TooManyWaitersError:
            self._owner.refused += 1
            return failed, False
        if flight is not None:
            return flight, False
        return self._leaders.start(failed.key, work), True
