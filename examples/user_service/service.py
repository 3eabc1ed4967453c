"""The service: one query for all the requests that ask for the same user at the same time."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

import anyio

from anyflight import Coalescer, CoalescerStatistics, Instrument
from examples.user_service.database import Database
from examples.user_service.user import User, UserNotFoundError

__all__ = ("User", "UserNotFoundError", "UserService")

# Both in seconds.
COALESCE_TIMEOUT = 0.1
QUERY_TIMEOUT = 5.0


class UserService:
    """Look users up by their id; to be opened with `async with`.

    Every lookup raises `UserNotFoundError` if there is no such user. The coalesced ones raise
    `anyio.ClosedResourceError` once the service is closing, and `anyflight.FlightCancelledError` if
    it is closed by force while they wait. Cancelling a lookup harms no other.
    """

    def __init__(self, database: Database, *, instruments: Iterable[Instrument] = ()) -> None:
        self._database = database
        self._coalescer: Coalescer[int, User] = Coalescer(name="users", instruments=instruments)

    async def __aenter__(self) -> Self:
        await self._coalescer.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._coalescer.__aexit__(exc_type, exc_value, traceback)

    async def get_user(self, user_id: int) -> User:
        """Look a user up; calls that overlap in time share one query."""
        return await self._coalescer.execute(user_id, self.get_user_directly, user_id)

    async def get_user_directly(self, user_id: int) -> User:
        """Look a user up by a query of its own."""
        user = await self._database.fetch_user(user_id)
        if user is None:
            raise UserNotFoundError(user_id)
        return user

    async def get_user_with_timeout(self, user_id: int) -> User:
        """Look a user up; after 0.1 seconds of waiting for a shared query, by one of its own.

        So one slow query does not hold everybody up. A query that this call starts for all is
        given 5 seconds, and then raises `TimeoutError` in those who still wait for it.
        """
        return await self._coalescer.execute(
            user_id,
            self._get_user_in_time,
            user_id,
            timeout=COALESCE_TIMEOUT,
            fallback=self.get_user_directly,
        )

    async def _get_user_in_time(self, user_id: int) -> User:
        with anyio.fail_after(QUERY_TIMEOUT):
            return await self.get_user_directly(user_id)

    def statistics(self) -> CoalescerStatistics:
        """Return what the coalescer has done so far."""
        return self._coalescer.statistics()
