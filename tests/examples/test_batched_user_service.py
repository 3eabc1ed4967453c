"""The service in batches, against a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from demo.schema import count, expected_user, hold_queries
from examples.user_service.batched_service import BatchedUserService
from examples.user_service.database import Database
from examples.user_service.user import UserNotFoundError
from tests.examples.support import Answers, until_under_way, until_waiting

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database: Database) -> AsyncIterator[BatchedUserService]:
    async with BatchedUserService(database) as service:
        yield service


async def test_lookups_of_many_users_share_one_query(service: BatchedUserService, dsn: str) -> None:
    before = count(dsn)
    answers = Answers()
    async with anyio.create_task_group() as tasks:
        answers.start(tasks, service.get_user, *range(1, 51), *range(1, 51))
    assert sorted(user.id for user in answers.users) == sorted([*range(1, 51)] * 2)
    assert all(user == expected_user(user.id) for user in answers.users)
    assert count(dsn) == (before.queries + 1, before.rows + 50)


async def test_a_missing_user_is_an_error_of_those_alone_who_ask_for_it(
    service: BatchedUserService,
) -> None:
    answers = Answers()
    async with anyio.create_task_group() as tasks:
        answers.start(tasks, service.get_user, 42)
        with pytest.raises(UserNotFoundError, match=r"^there is no user 1001$"):
            await service.get_user(1001)
    assert answers.users == [expected_user(42)]
    assert service.statistics().batches == 1


async def test_of_several_users_those_that_exist_are_returned(
    service: BatchedUserService, dsn: str
) -> None:
    before = count(dsn)
    assert await service.get_users([7, 1001, 42]) == {7: expected_user(7), 42: expected_user(42)}
    assert count(dsn) == (before.queries + 1, before.rows + 2)


async def test_cancelling_one_lookup_leaves_the_others_their_query(
    service: BatchedUserService, dsn: str
) -> None:
    before = count(dsn)
    answers = Answers()
    async with anyio.create_task_group() as tasks:
        with hold_queries(dsn):
            async with anyio.create_task_group() as leaving:
                answers.start(leaving, service.get_user, 1, 2)
                answers.start(tasks, service.get_user, 2, 3)
                await until_under_way(dsn, 1)
                leaving.cancel_scope.cancel()
            await until_waiting(service, 2)
            await until_under_way(dsn, 1)
    assert sorted(user.id for user in answers.users) == [2, 3]
    assert count(dsn) == (before.queries + 1, before.rows + 3)


async def test_a_query_that_all_have_left_is_cancelled_on_the_server(
    service: BatchedUserService, dsn: str
) -> None:
    answers = Answers()
    with hold_queries(dsn):
        async with anyio.create_task_group() as tasks:
            answers.start(tasks, service.get_user, *range(1, 11))
            await until_under_way(dsn, 1)
            tasks.cancel_scope.cancel()
        await until_under_way(dsn, 0)
    assert answers.users == []
