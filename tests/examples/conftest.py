"""One PostgreSQL for all tests of the examples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from demo.schema import create_users
from examples.user_service.database import Database, open_database
from servers.postgres import temporary_postgres
from tests.examples.support import POOL_SIZE


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """Name a database with the users 1 to 1000."""
    with temporary_postgres() as server:
        create_users(server.dsn, rows=1000)
        yield server.dsn


@pytest.fixture
async def database(anyio_backend: object, dsn: str) -> AsyncIterator[Database]:
    async with open_database(dsn, pool_size=POOL_SIZE) as database:
        yield database
