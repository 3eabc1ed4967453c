"""The database through asyncpg, on asyncio."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from anyio import CancelScope

from examples.user_service.pool_gauge import PoolGauge
from examples.user_service.user import User
from examples.user_service.user_query import USER_QUERY, USERS_QUERY

__all__ = ("AsyncpgDatabase", "open_asyncpg")


class AsyncpgDatabase:
    """Implements `examples.user_service.database.Database`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, pool_size: int) -> None:
        self._pool = pool
        self.gauge = PoolGauge(pool_size)

    async def fetch_user(self, user_id: int) -> User | None:
        """Fetch one user; see `Database.fetch_user`."""
        rows = await self._fetch(USER_QUERY, user_id)
        return User(*rows[0]) if rows else None

    async def fetch_users(self, user_ids: Sequence[int]) -> list[User]:
        """Fetch some users; see `Database.fetch_users`."""
        return [User(*row) for row in await self._fetch(USERS_QUERY, user_ids)]

    async def _fetch(self, query: str, argument: object) -> list[asyncpg.Record]:
        connection = await self._pool.acquire()
        try:
            # When this is cancelled, asyncpg sends the server a cancel request, ...
            with self.gauge.use():
                return await connection.fetch(query, argument)
        finally:
            # ... and this waits until the query has ended by it.
            with CancelScope(shield=True):
                await self._pool.release(connection)


@asynccontextmanager
async def open_asyncpg(dsn: str, *, pool_size: int) -> AsyncIterator[AsyncpgDatabase]:
    """Open a pool of `pool_size` connections for the length of the block."""
    pool = asyncpg.create_pool(
        dsn, min_size=pool_size, max_size=pool_size, reset=_keep_session_settings
    )
    async with pool:
        try:
            yield AsyncpgDatabase(pool, pool_size=pool_size)
        finally:
            with CancelScope(shield=True):
                await pool.close()


async def _keep_session_settings(_connection: object) -> None:
    """Do nothing in place of asyncpg's reset, which costs each query a second round trip.

    This program changes no setting of a session, so there is nothing to reset.
    """
