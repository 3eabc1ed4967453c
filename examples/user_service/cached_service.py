"""The service with a cache: no query for a user whose row is a second old at most."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Final, Self

from anyio import AsyncContextManagerMixin

from anyflight import CacheStatistics, Instrument, ReadThroughCache
from examples.user_service.database import Database
from examples.user_service.user import User, UserNotFoundError

__all__ = ("CACHE_TTL", "CachedUserService")

CACHE_TTL: Final = 1.0
"""In seconds."""


class CachedUserService(AsyncContextManagerMixin):
    """Look users up by their id, and remember them for a second; to be opened with `async with`.

    What `UserService` says of lookups holds for these. That a user does not exist is remembered
    too.
    """

    def __init__(self, database: Database, *, instruments: Iterable[Instrument] = ()) -> None:
        self._database = database
        self._users = ReadThroughCache[int, User](
            ttl=CACHE_TTL,
            error_ttl={UserNotFoundError: CACHE_TTL},
            name="users",
            instruments=instruments,
        )

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with self._users:
            yield self

    async def get_user(self, user_id: int) -> User:
        """Look a user up, in the cache or else by a query, which calls that overlap share."""
        return await self._users.get(user_id, self._fetch_user, user_id)

    async def forget_user(self, user_id: int) -> None:
        """Let the next lookup make a query: to be called when the user has changed."""
        await self._users.invalidate(user_id)

    async def _fetch_user(self, user_id: int) -> User:
        user = await self._database.fetch_user(user_id)
        if user is None:
            raise UserNotFoundError(user_id)
        return user

    def statistics(self) -> CacheStatistics:
        """Return what the cache has done so far."""
        return self._users.statistics()
