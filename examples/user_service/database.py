"""The database, on either back end: `async with open_database(dsn) as database`.

Each back end gets the driver that is at home there: asyncpg on asyncio, and psycopg in worker
threads on Trio, for which no driver exists. This module is all that the service knows of them.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import anyio

from examples.user_service.pool_gauge import PoolGauge
from examples.user_service.user import User

__all__ = ("Database", "open_database")


class Database(Protocol):
    """Access to the table `users`."""

    @property
    def gauge(self) -> PoolGauge:
        """Tell how busy the connection pool is."""

    async def fetch_user(self, user_id: int) -> User | None:
        """Fetch one row by one query; None if there is none.

        Cancelling the call cancels the query on the server, and the connection goes back to the
        pool, usable, before the call ends.
        """

    async def fetch_users(self, user_ids: Sequence[int]) -> list[User]:
        """Fetch the rows that there are by one query, in any order; as `fetch_user` otherwise."""


@asynccontextmanager
async def open_database(dsn: str, *, pool_size: int = 10) -> AsyncIterator[Database]:
    """Open a pool of `pool_size` connections for the length of the block.

    No query may be under way when the block is left. Raises the driver's error if the server cannot
    be reached. A call of a method waits, without a limit, while all connections are in use.
    """
    # Only the driver that this back end needs has to be installed.
    if _backend() == "asyncio":
        from examples.user_service.asyncpg_database import open_asyncpg  # noqa: PLC0415

        async with open_asyncpg(dsn, pool_size=pool_size) as asyncpg_database:
            yield asyncpg_database
    else:
        from examples.user_service.psycopg_database import open_psycopg  # noqa: PLC0415

        async with open_psycopg(dsn, pool_size=pool_size) as psycopg_database:
            yield psycopg_database


def _backend() -> str:
    """Return the name of the package that runs the current event loop: asyncio or trio."""
    # anyio names it only through the class that it raises for cancellation.
    return anyio.get_cancelled_exc_class().__module__.partition(".")[0]
