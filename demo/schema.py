"""The table `users`, made so that every answer can be checked, and made slow on demand."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg import sql

from examples.user_service.user import User
from examples.user_service.user_query import USER_QUERY, USERS_QUERY

__all__ = (
    "ServerCounts",
    "count",
    "count_queries",
    "create_users",
    "expected_user",
    "hold_queries",
    "slow_users",
)

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def create_users(dsn: str, *, rows: int = 10_000) -> None:
    """Create the table `users` with the ids 1 to `rows`, in place of an earlier one."""
    with psycopg.connect(dsn) as connection:
        connection.execute("DROP TABLE IF EXISTS users CASCADE")
        connection.execute(
            """
            CREATE TABLE users (
                id bigint PRIMARY KEY,
                name text NOT NULL,
                email text NOT NULL,
                created_at timestamptz NOT NULL
            )
            """
        )
        connection.execute(
            """
            INSERT INTO users
            SELECT id, 'User ' || id, 'user' || id || '@example.com', %s + id * interval '1 minute'
            FROM generate_series(1, %s) AS id
            """,
            (_EPOCH, rows),
        )
    # The planner has to know the table; no transaction may be around this.
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE users")


def expected_user(user_id: int) -> User:
    """Return what the database has to answer for an id that `create_users` created."""
    return User(
        id=user_id,
        name=f"User {user_id}",
        email=f"user{user_id}@example.com",
        created_at=_EPOCH + timedelta(minutes=user_id),
    )


def slow_users(dsn: str, *, query_ms: float, row_ms: float = 0.0) -> str:
    """Return a DSN under which queries of users take longer.

    Each takes `query_ms` milliseconds longer however many users it asks for, and on average
    `row_ms` for each user that it finds. The texts of the queries stay the same: `users` names a
    view there, which sleeps on the server. Call it after `create_users`. The latest call decides
    for all such DSNs.
    """
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS slow")
        connection.execute(
            sql.SQL(
                # A materialised row is computed once, whatever plan the join gets; what is volatile
                # in a list of columns is computed for each row that the condition lets through.
                # PostgreSQL sleeps for whole milliseconds, rounded up: hence by chance, on average
                # as long as asked for; and half of one less, so that no rounding error adds one.
                """
                CREATE OR REPLACE VIEW slow.users AS
                WITH query AS MATERIALIZED (SELECT pg_sleep({query_seconds}))
                SELECT found.id, found.name, found.email, found.created_at
                FROM query CROSS JOIN (
                    SELECT *, pg_sleep((floor({row_ms} + random()) - 0.5) / 1000) FROM public.users
                ) AS found
                """
            ).format(query_seconds=query_ms / 1000, row_ms=row_ms)
        )
    separator = "&" if "?" in dsn else "?"
    return f"{dsn}{separator}options=-csearch_path%3Dslow%2Cpublic"


@contextmanager
def hold_queries(dsn: str) -> Iterator[None]:
    """Hold every query of a user up on the server for the length of the block."""
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield


class ServerCounts(NamedTuple):
    """What the server has counted."""

    queries: int
    """Queries of users that it has completed."""

    rows: int
    """Users that they returned."""


def count(dsn: str) -> ServerCounts:
    """Return how many queries of users the server has completed, and their rows, by its own count.

    A query that failed or was cancelled is not counted: the server counts at the end.
    """
    with psycopg.connect(dsn) as connection:
        # The same text counts separately for each table that it resolved to: hence the sum.
        row = connection.execute(
            "SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(rows), 0)::bigint"
            " FROM pg_stat_statements WHERE query = ANY(%s)",
            ([USER_QUERY, USERS_QUERY],),
        ).fetchone()
    assert row is not None
    return ServerCounts(*row)


def count_queries(dsn: str) -> int:
    """Return how many queries of users the server has completed; see `count`."""
    return count(dsn).queries
