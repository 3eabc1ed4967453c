"""The service with a cache, against a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from demo.schema import count_queries, expected_user, hold_queries
from examples.user_service import cached_service
from examples.user_service.cached_service import CachedUserService
from examples.user_service.database import Database
from examples.user_service.user import UserNotFoundError
from tests.examples.support import Answers, until_under_way

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[CachedUserService]:
    monkeypatch.setattr(cached_service, "CACHE_TTL", 60)
    async with CachedUserService(database) as service:
        yield service


async def test_lookups_that_overlap_share_one_query_and_later_ones_make_none(
    service: CachedUserService, dsn: str
) -> None:
    before = count_queries(dsn)
    answers = Answers()
    async with anyio.create_task_group() as tasks:
        answers.start(tasks, service.get_user, *[42] * 20)
    answers.users.append(await service.get_user(42))
    assert answers.users == [expected_user(42)] * 21
    assert count_queries(dsn) == before + 1


async def test_that_a_user_is_missing_is_remembered_too(
    service: CachedUserService, dsn: str
) -> None:
    before = count_queries(dsn)
    for _ in range(3):
        with pytest.raises(UserNotFoundError, match=r"^there is no user 1001$"):
            await service.get_user(1001)
    assert count_queries(dsn) == before + 1


async def test_a_user_that_has_changed_is_looked_up_again(
    service: CachedUserService, dsn: str
) -> None:
    before = count_queries(dsn)
    await service.get_user(42)
    await service.forget_user(42)
    assert await service.get_user(42) == expected_user(42)
    assert count_queries(dsn) == before + 2


async def test_what_is_remembered_for_too_long_is_looked_up_again(
    database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_service, "CACHE_TTL", 0.01)
    before = count_queries(dsn)
    async with CachedUserService(database) as service:
        with anyio.fail_after(10):
            while count_queries(dsn) < before + 2:
                assert await service.get_user(42) == expected_user(42)


async def test_a_query_that_all_have_left_is_cancelled_on_the_server(
    service: CachedUserService, dsn: str
) -> None:
    answers = Answers()
    with hold_queries(dsn):
        async with anyio.create_task_group() as tasks:
            answers.start(tasks, service.get_user, *[42] * 10)
            await until_under_way(dsn, 1)
            tasks.cancel_scope.cancel()
        await until_under_way(dsn, 0)
    assert answers.users == []
    assert await service.get_user(42) == expected_user(42)
