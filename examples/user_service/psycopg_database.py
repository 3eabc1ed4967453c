"""The database through psycopg in worker threads, for Trio (it runs on asyncio too)."""

import math
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeAlias

import anyio
import psycopg
from anyio import CancelScope, CapacityLimiter, to_thread
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8
from psycopg_pool import ConnectionPool

from examples.user_service.pool_gauge import PoolGauge
from examples.user_service.user import User
from examples.user_service.user_query import USER_QUERY, USERS_QUERY

__all__ = ("PsycopgDatabase", "open_psycopg")

_Pool: TypeAlias = ConnectionPool[psycopg.Connection[TupleRow]]

# In seconds: how long the pool may take to connect, a cancel request may take, and how soon a
# cancel request is repeated for a query that it came too early for.
_OPEN_TIMEOUT = 10.0
_CANCEL_TIMEOUT = 5.0
_CANCEL_INTERVAL = 0.01


class PsycopgDatabase:
    """Implements `examples.user_service.database.Database`."""

    def __init__(self, pool: _Pool, *, pool_size: int) -> None:
        self._pool = pool
        self.gauge = PoolGauge(pool_size)
        # A call waits for a connection here, where waiting can be cancelled and blocks no thread.
        # Whoever has a turn finds a connection in the pool and needs no further limit on threads.
        self._turns = CapacityLimiter(pool_size)
        self._threads = CapacityLimiter(math.inf)

    async def fetch_user(self, user_id: int) -> User | None:
        """Fetch one user; see `Database.fetch_user`."""
        # Int8, for psycopg would choose a type by the size of each number, and the server would
        # plan and count one query for each type.
        rows = await self._fetch(USER_QUERY, Int8(user_id))
        return User(*rows[0]) if rows else None

    async def fetch_users(self, user_ids: Sequence[int]) -> list[User]:
        """Fetch some users; see `Database.fetch_users`."""
        rows = await self._fetch(USERS_QUERY, [Int8(user_id) for user_id in user_ids])
        return [User(*row) for row in rows]

    async def _fetch(self, query: str, argument: object) -> list[TupleRow]:
        async with self._turns:
            with self.gauge.use():
                return await self._run(_Query(self._pool, query, argument))

    async def _run(self, query: "_Query") -> list[TupleRow]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pass_on_cancellation, query)
            # Shielded, so that the query runs in any case, and to its end: the other task waits for
            # that, and only the thread can give the connection back.
            with CancelScope(shield=True):
                await to_thread.run_sync(query.run, limiter=self._threads)
            tasks.cancel_scope.cancel()
        # A query that was cancelled for us must end as our cancellation, not as psycopg's error.
        await anyio.lowlevel.checkpoint_if_cancelled()
        return query.outcome.result()

    async def _pass_on_cancellation(self, query: "_Query") -> None:
        """Wait to be cancelled, and if `query` has not ended then, cancel it on the server."""
        try:
            await anyio.sleep_forever()
        finally:
            with CancelScope(shield=True):
                # A cancel request does nothing if it overtakes the query: hence again.
                while not query.outcome.done():
                    await to_thread.run_sync(query.cancel, limiter=self._threads)
                    await anyio.sleep(_CANCEL_INTERVAL)


class _Query:
    """One query, run in a worker thread and cancelled from another."""

    def __init__(self, pool: _Pool, text: str, argument: object) -> None:
        self._pool = pool
        self._text = text
        self._argument = argument
        self._connection: psycopg.Connection[TupleRow] | None = None
        # Guards the end of the query: no cancel request is under way when the connection goes back
        # to the pool, so none can hit the query that the connection is used for next.
        self._lock = threading.Lock()
        self.outcome: Future[list[TupleRow]] = Future()

    def run(self) -> None:
        """Run the query to its end; what comes of it is left in `outcome`, and nothing raised."""
        try:
            with self._pool.connection() as connection:
                self.outcome.set_result(self._fetch(connection))
        except Exception as error:  # noqa: BLE001 - `outcome.result()` raises it
            self.outcome.set_exception(error)

    def _fetch(self, connection: psycopg.Connection[TupleRow]) -> list[TupleRow]:
        self._connection = connection
        try:
            return connection.execute(self._text, (self._argument,)).fetchall()
        finally:
            with self._lock:
                self._connection = None

    def cancel(self) -> None:
        """Ask the server to cancel the query; return when it has been told.

        Does nothing if the query has not begun or has ended.
        """
        with self._lock, suppress(psycopg.Error):
            if self._connection is not None:
                self._connection.cancel_safe(timeout=_CANCEL_TIMEOUT)


@asynccontextmanager
async def open_psycopg(dsn: str, *, pool_size: int) -> AsyncIterator[PsycopgDatabase]:
    """Open a pool of `pool_size` connections for the length of the block."""
    pool = ConnectionPool(
        dsn,
        min_size=pool_size,
        max_size=pool_size,
        open=False,
        # One statement needs no transaction around it; RawCursor takes PostgreSQL's own `$1`.
        kwargs={"autocommit": True, "cursor_factory": psycopg.RawCursor},
    )
    try:
        await to_thread.run_sync(partial(pool.open, wait=True, timeout=_OPEN_TIMEOUT))
        yield PsycopgDatabase(pool, pool_size=pool_size)
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(pool.close)
