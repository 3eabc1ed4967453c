"""One run: a trace is sent to the service, and all that can be observed is recorded."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from demo.errors import WrongAnswerError
from demo.figures import Count
from demo.flights import FlightLog
from demo.ledger import Ledger, cause
from demo.load import send_trace
from demo.sampler import pool_utilisation, sample
from demo.schema import ServerCounts, count, count_queries, expected_user
from demo.summary import Recording
from demo.traffic import make_trace
from examples.user_service.database import open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from demo.strategies import Lookup, Strategy
    from demo.traffic import Arrival, Trace
    from examples.user_service.database import Database
    from examples.user_service.pool_gauge import PoolGauge
    from examples.user_service.user import User

LEAD = 0.1
"""Seconds between the last preparation and the trace's zero."""


class AccountedDatabase:
    """A database whose queries are written down in a ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.ledger = Ledger()

    @property
    def gauge(self) -> PoolGauge:
        """Tell how busy the connection pool is."""
        return self._database.gauge

    async def fetch_user(self, user_id: int) -> User | None:
        """Fetch one row by one query, and write it down."""
        return await self.ledger.record(self._database.fetch_user, user_id, (user_id,))

    async def fetch_users(self, user_ids: Sequence[int]) -> list[User]:
        """Fetch some rows by one query, and write it down."""
        return await self.ledger.record(self._database.fetch_users, user_ids, tuple(user_ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a run is made against."""

    service_dsn: str
    """Where the service sends its queries."""

    counter_dsn: str
    """Where the server's counter is read, over a connection that is none of the pool's."""

    pool: int
    """Connections that the service holds open."""


async def measure(
    trace: Trace, target: Target, *, strategy: Strategy, progress: Callable[[float], None]
) -> Recording:
    """Send `trace` to a service of its own, and record what happens.

    `progress` is told how many seconds of the trace are over. Raises `WrongAnswerError`, also
    inside a group.
    """
    async with open_database(target.service_dsn, pool_size=target.pool) as database:
        await _warm_up(database, strategy)
        accounted, flights = AccountedDatabase(database), FlightLog()
        # A service of its own, which has kept nothing of the warm-up.
        async with strategy.open(accounted, [flights]) as lookup:
            counts: list[Count] = []
            before = await to_thread.run_sync(count, target.counter_dsn)
            read_counter = partial(to_thread.run_sync, count_queries, target.counter_dsn)
            _set_garbage_aside()
            start = perf_counter() + LEAD
            async with anyio.create_task_group() as tasks:
                tasks.create_task(sample(read_counter, counts, start=start, progress=progress))
                pool_watch = tasks.create_task(pool_utilisation(database.gauge, trace, start=start))
                sent = await send_trace(trace, partial(ask, lookup), start=start)
                utilisation = await pool_watch
                tasks.cancel_scope.cancel()
        after = await to_thread.run_sync(count, target.counter_dsn)
    return Recording(
        sent=sent,
        ledger=accounted.ledger,
        fetches=flights.fetches or accounted.ledger.fetches(),
        server=ServerCounts(after.queries - before.queries, after.rows - before.rows),
        counts=counts,
        pool_utilisation=utilisation,
    )


async def ask(lookup: Lookup, arrival: Arrival) -> None:
    """Make one request, and raise `WrongAnswerError` unless its answer is the expected row."""
    cause.set(arrival.part)
    user = await lookup(arrival.user_id)
    expected = expected_user(arrival.user_id)
    if user != expected:
        raise WrongAnswerError(
            f"wrong answer for user {arrival.user_id}: expected {expected}, got {user}"
        )


def _set_garbage_aside() -> None:
    """Free what is garbage, and let the collector leave alone what is not.

    Otherwise a full collection in the run walks through the trace, the imports and what an earlier
    run recorded: a pause of tens of milliseconds, of this program's making and not of the
    service's. What the requests allocate is collected as always.
    """
    gc.unfreeze()  # what an earlier run left may be garbage by now
    gc.collect()
    gc.freeze()


async def _warm_up(database: Database, strategy: Strategy) -> None:
    """Bring every connection and the interpreter to the state that they keep.

    The first query of a connection loads the server's catalogues and is prepared, and the first
    requests run code that the interpreter has not specialised yet: costs of a start, not of the
    traffic.
    """
    for _ in range(2):
        async with anyio.create_task_group() as tasks:
            for user_id in range(1, database.gauge.size + 1):
                tasks.start_soon(database.fetch_user, user_id)
        async with anyio.create_task_group() as tasks:
            for user_id in range(1, database.gauge.size + 1):
                tasks.start_soon(database.fetch_users, [user_id])
    trace = make_trace(rate=500, seconds=0.2, hot=0.5, rows=100, seed=0)
    async with strategy.open(database, []) as lookup:
        await send_trace(trace, partial(ask, lookup), start=perf_counter())
