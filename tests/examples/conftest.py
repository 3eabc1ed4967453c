"""One PostgreSQL for all tests of the examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.postgres import temporary_postgres
from demo.schema import create_users


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """Name a database with the users 1 to 1000."""
    with temporary_postgres() as server:
        create_users(server.dsn, rows=1000)
        yield server.dsn
