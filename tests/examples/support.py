"""What the tests of the user service have in common."""

from __future__ import annotations

from typing import Protocol

import anyio
import psycopg
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from examples.user_service.user import User
from examples.user_service.user_query import USER_QUERY, USERS_QUERY

POOL_SIZE = 3


def queries_under_way(dsn: str) -> int:
    """Count the users queries that the server is working on."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = ANY(%s)",
            ([USER_QUERY, USERS_QUERY],),
        ).fetchone()
    assert row is not None
    return int(row[0])


async def until_under_way(dsn: str, number: int) -> None:
    """Return when the server works on exactly `number` users queries."""
    with anyio.fail_after(10):
        while await anyio.to_thread.run_sync(queries_under_way, dsn) != number:
            await checkpoint()


class Statistics(Protocol):
    @property
    def waiting(self) -> int: ...


class Service(Protocol):
    def statistics(self) -> Statistics: ...


async def until_waiting(service: Service, number: int) -> None:
    """Return when exactly `number` calls wait in the service."""
    with anyio.fail_after(10):
        while service.statistics().waiting != number:
            await checkpoint()


class Answers:
    """Collects what concurrent lookups return."""

    def __init__(self) -> None:
        self.users: list[User] = []

    def start(self, tasks: TaskGroup, lookup: object, *user_ids: int) -> None:
        for user_id in user_ids:
            tasks.start_soon(self._collect, lookup, user_id)

    async def _collect(self, lookup: object, user_id: int) -> None:
        assert callable(lookup)
        self.users.append(await lookup(user_id))
