"""The service in batches: one query for all the users that are asked for at the same time."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Self

from anyio import AsyncContextManagerMixin

from anyflight import BatchLoader, BatchLoaderStatistics, Instrument, MissingKeyError
from examples.user_service.database import Database
from examples.user_service.user import User, UserNotFoundError

__all__ = ("BatchedUserService",)


class BatchedUserService(AsyncContextManagerMixin):
    """Look users up by their id, several by one query; to be opened with `async with`.

    What `UserService` says of lookups holds for these. A query is cancelled on the server when
    nobody waits for any of its users.
    """

    def __init__(self, database: Database, *, instruments: Iterable[Instrument] = ()) -> None:
        self._database = database
        self._users = BatchLoader(self._fetch_users, name="users", instruments=instruments)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with self._users:
            yield self

    async def get_user(self, user_id: int) -> User:
        """Look a user up; calls that overlap in time share queries, whoever they ask for."""
        try:
            return await self._users.load(user_id)
        except MissingKeyError:
            raise UserNotFoundError(user_id) from None

    async def get_users(self, user_ids: Iterable[int]) -> dict[int, User]:
        """Look users up; those that do not exist are left out."""
        return await self._users.load_many(user_ids)

    async def _fetch_users(self, user_ids: list[int]) -> dict[int, User]:
        return {user.id: user for user in await self._database.fetch_users(user_ids)}

    def statistics(self) -> BatchLoaderStatistics:
        """Return what the loader has done so far."""
        return self._users.statistics()
