"""The user service and its database, against a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import psycopg
import pytest

from demo.schema import count, count_queries, expected_user, hold_queries, slow_users
from examples.user_service import service as service_module
from examples.user_service.database import Database, open_database
from examples.user_service.pool_gauge import PoolGauge
from examples.user_service.psycopg_database import open_psycopg
from examples.user_service.service import UserNotFoundError, UserService
from examples.user_service.user_query import USER_QUERY, USERS_QUERY
from tests.examples.support import (
    POOL_SIZE,
    Answers,
    queries_under_way,
    until_under_way,
    until_waiting,
)

pytestmark = pytest.mark.anyio

HALF_A_MILLISECOND = 0.0005


@pytest.fixture
async def service(database: Database) -> AsyncIterator[UserService]:
    async with UserService(database) as service:
        yield service


class TestDatabase:
    async def test_a_row_is_a_user(self, database: Database) -> None:
        assert await database.fetch_user(42) == expected_user(42)

    @pytest.mark.parametrize("user_id", [0, -1, 2**31, 2**63 - 1])
    async def test_no_row_is_none(self, database: Database, user_id: int) -> None:
        assert await database.fetch_user(user_id) is None

    async def test_some_rows_are_users_and_those_that_do_not_exist_are_left_out(
        self, database: Database
    ) -> None:
        users = await database.fetch_users([42, 0, 7, 2**63 - 1, 1000])
        assert sorted(user.id for user in users) == [7, 42, 1000]
        assert all(user == expected_user(user.id) for user in users)
        assert await database.fetch_users([]) == []

    async def test_the_server_counts_each_query_under_the_one_text_and_its_rows(
        self, database: Database, dsn: str
    ) -> None:
        before = count(dsn)
        for user_id in (1, 40_000, 2**40):
            await database.fetch_user(user_id)
        for user_ids in ([1], [1, 2, 40_000], [2**40], list(range(1, 201))):
            await database.fetch_users(user_ids)
        assert count(dsn) == (before.queries + 7, before.rows + 1 + 1 + 2 + 200)

    async def test_no_more_queries_run_than_the_pool_has_connections(
        self, database: Database, dsn: str
    ) -> None:
        answers = Answers()
        async with anyio.create_task_group() as tasks:
            with hold_queries(dsn):
                answers.start(tasks, database.fetch_user, *range(1, 2 * POOL_SIZE + 1))
                await until_under_way(dsn, POOL_SIZE)
                assert database.gauge.in_use == POOL_SIZE
        assert sorted(user.id for user in answers.users) == list(range(1, 2 * POOL_SIZE + 1))
        assert database.gauge.in_use == 0

    async def test_a_cancelled_query_is_cancelled_on_the_server(
        self, database: Database, dsn: str
    ) -> None:
        with hold_queries(dsn):
            async with anyio.create_task_group() as tasks:
                for user_id in range(POOL_SIZE):
                    tasks.start_soon(database.fetch_user, user_id)
                await until_under_way(dsn, POOL_SIZE)
                tasks.cancel_scope.cancel()
            await until_under_way(dsn, 0)
            assert database.gauge.in_use == 0

        # Each connection of the pool is usable.
        answers = Answers()
        async with anyio.create_task_group() as tasks:
            answers.start(tasks, database.fetch_user, *[42] * (2 * POOL_SIZE))
        assert answers.users == [expected_user(42)] * (2 * POOL_SIZE)

    async def test_so_is_one_for_several_users(self, database: Database, dsn: str) -> None:
        with hold_queries(dsn):
            async with anyio.create_task_group() as tasks:
                for user_id in range(POOL_SIZE):
                    tasks.start_soon(database.fetch_users, [user_id, 42])
                await until_under_way(dsn, POOL_SIZE)
                tasks.cancel_scope.cancel()
            await until_under_way(dsn, 0)
            assert database.gauge.in_use == 0
        assert await database.fetch_users([42]) == [expected_user(42)]

    async def test_a_query_that_is_cancelled_at_any_moment_harms_no_other(
        self, database: Database
    ) -> None:
        for delay in range(40):
            with anyio.move_on_after(delay / 10_000):
                await database.fetch_user(1)
            assert await database.fetch_user(2) == expected_user(2)

    async def test_waiting_for_a_connection_can_be_cancelled(
        self, database: Database, dsn: str
    ) -> None:
        async with anyio.create_task_group() as tasks:
            with hold_queries(dsn):
                for user_id in range(POOL_SIZE):
                    tasks.start_soon(database.fetch_user, user_id)
                await until_under_way(dsn, POOL_SIZE)
                with anyio.move_on_after(0.01) as scope:
                    await database.fetch_user(42)
                assert scope.cancelled_caught
                assert queries_under_way(dsn) == POOL_SIZE

    async def test_a_call_can_be_cancelled_in_the_moment_that_it_gets_its_connection(
        self, dsn: str
    ) -> None:
        scope = anyio.CancelScope()

        async def first(database: Database) -> None:
            await database.fetch_user(1)
            scope.cancel()

        async def second(database: Database) -> None:
            with scope:
                await database.fetch_user(2)

        async with open_database(dsn, pool_size=1) as database:
            async with anyio.create_task_group() as tasks:
                with hold_queries(dsn):
                    tasks.start_soon(first, database)
                    await until_under_way(dsn, 1)
                    tasks.start_soon(second, database)
                    await anyio.wait_all_tasks_blocked()
            # With asyncpg the second may have its answer before the first returns: as well.
            assert await database.fetch_user(42) == expected_user(42)
            assert database.gauge.in_use == 0

    async def test_an_error_of_the_server_comes_bare_and_costs_no_connection(
        self, dsn: str
    ) -> None:
        # No such table there.
        elsewhere = f"{dsn}&options=-csearch_path%3Dpg_catalog"
        async with open_database(elsewhere, pool_size=1) as database:
            for _ in range(2):
                with pytest.raises(Exception, match='relation "users" does not exist'):
                    await database.fetch_user(42)

    async def test_a_query_that_somebody_else_cancels_is_an_error(
        self, database: Database, dsn: str
    ) -> None:
        with hold_queries(dsn):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.expect_cancelled_by_user, database)
                await until_under_way(dsn, 1)
                with psycopg.connect(dsn) as connection:
                    connection.execute(
                        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                        " WHERE state = 'active' AND query = %s",
                        (USER_QUERY,),
                    )

    async def expect_cancelled_by_user(self, database: Database) -> None:
        with pytest.raises(Exception, match="canceling statement due to user request"):
            await database.fetch_user(42)

    async def test_psycopg_serves_asyncio_as_well(self, dsn: str) -> None:
        async with open_psycopg(dsn, pool_size=1) as database:
            assert await database.fetch_user(42) == expected_user(42)


class TestSlowUsers:
    async def test_the_query_gets_slower_and_its_answer_stays(self, dsn: str) -> None:
        async with open_database(slow_users(dsn, query_ms=50), pool_size=1) as database:
            before = count_queries(dsn)
            start = anyio.current_time()
            assert await database.fetch_user(42) == expected_user(42)
            # One sleep makes 0.05 seconds; one for each of the 1000 rows would make 50.
            assert 0.05 <= anyio.current_time() - start < 5
            assert count_queries(dsn) == before + 1
            busy_seconds = database.gauge.busy_seconds(anyio.current_time())
            assert 0.05 <= busy_seconds <= anyio.current_time() - start

    async def test_each_row_takes_its_time_too(self, dsn: str) -> None:
        async with open_database(slow_users(dsn, query_ms=1, row_ms=5), pool_size=1) as database:
            start = anyio.current_time()
            assert len(await database.fetch_users(range(1, 21))) == 20
            assert 0.1 - 20 * HALF_A_MILLISECOND <= anyio.current_time() - start < 5

    @pytest.mark.parametrize(
        ("text", "found"),
        [(USER_QUERY.replace("$1", "42"), 1), (USERS_QUERY.replace("$1", "'{1,2,42,0}'"), 3)],
        ids=["one user", "several"],
    )
    async def test_the_plan_uses_the_index_and_sleeps_once_for_the_query(
        self, dsn: str, text: str, found: int
    ) -> None:
        with psycopg.connect(slow_users(dsn, query_ms=1, row_ms=1)) as connection:
            rows = connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {text}").fetchall()
        plan = [line for (line,) in rows]
        assert any(
            "Index Scan using users_pkey" in line and f"rows={found}.00 loops=1" in line
            for line in plan
        )
        assert any("Result" in line and "rows=1.00 loops=1" in line for line in plan)


class TestService:
    async def test_200_lookups_share_one_query(
        self, service: UserService, database: Database, dsn: str
    ) -> None:
        before = count_queries(dsn)
        answers = Answers()
        async with anyio.create_task_group() as tasks:
            with hold_queries(dsn):
                answers.start(tasks, service.get_user, *[42] * 200)
                await until_waiting(service, 200)
                await until_under_way(dsn, 1)
                assert database.gauge.in_use == 1
        assert answers.users == [expected_user(42)] * 200
        assert count_queries(dsn) == before + 1

    async def test_without_coalescing_each_lookup_is_a_query(
        self, service: UserService, dsn: str
    ) -> None:
        before = count_queries(dsn)
        answers = Answers()
        async with anyio.create_task_group() as tasks:
            answers.start(tasks, service.get_user_directly, *[42] * 20)
        assert answers.users == [expected_user(42)] * 20
        assert count_queries(dsn) == before + 20

    async def test_each_user_is_looked_up_for_itself(self, service: UserService) -> None:
        answers = Answers()
        async with anyio.create_task_group() as tasks:
            answers.start(tasks, service.get_user, *range(1, 21))
        assert sorted(answers.users, key=lambda user: user.id) == [
            expected_user(user_id) for user_id in range(1, 21)
        ]

    @pytest.mark.parametrize("name", ["get_user", "get_user_directly", "get_user_with_timeout"])
    async def test_a_missing_user_is_an_error_that_names_it(
        self, service: UserService, name: str
    ) -> None:
        with pytest.raises(UserNotFoundError, match=r"^there is no user 1001$") as caught:
            await getattr(service, name)(1001)
        assert caught.value.user_id == 1001

    async def test_cancelling_one_lookup_leaves_the_others_their_query(
        self, service: UserService, dsn: str
    ) -> None:
        before = count_queries(dsn)
        answers = Answers()
        async with anyio.create_task_group() as tasks:
            with hold_queries(dsn):
                async with anyio.create_task_group() as leaving:
                    answers.start(leaving, service.get_user, 42)
                    await until_waiting(service, 1)
                    answers.start(tasks, service.get_user, *[42] * 9)
                    await until_waiting(service, 10)
                    leaving.cancel_scope.cancel()
                await until_under_way(dsn, 1)
        assert answers.users == [expected_user(42)] * 9
        assert count_queries(dsn) == before + 1

    async def test_the_query_of_a_lookup_that_all_have_left_is_cancelled_on_the_server(
        self, service: UserService, dsn: str
    ) -> None:
        answers = Answers()
        with hold_queries(dsn):
            async with anyio.create_task_group() as tasks:
                answers.start(tasks, service.get_user, *[42] * 10)
                await until_waiting(service, 10)
                await until_under_way(dsn, 1)
                tasks.cancel_scope.cancel()
            await until_under_way(dsn, 0)
        assert answers.users == []


class TestLookupWithTimeout:
    async def test_a_query_that_is_fast_enough_is_shared(
        self, service: UserService, dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service_module, "COALESCE_TIMEOUT", 60)
        before = count_queries(dsn)
        answers = Answers()
        async with anyio.create_task_group() as tasks:
            with hold_queries(dsn):
                answers.start(tasks, service.get_user_with_timeout, *[42] * 20)
                await until_waiting(service, 20)
        assert answers.users == [expected_user(42)] * 20
        assert count_queries(dsn) == before + 1

    async def test_a_slow_query_is_waited_for_so_long_and_then_made_directly(
        self, service: UserService, dsn: str
    ) -> None:
        answers = Answers()
        async with anyio.create_task_group() as tasks:
            with hold_queries(dsn):
                answers.start(tasks, service.get_user, 42)
                await until_under_way(dsn, 1)
                answers.start(tasks, service.get_user_with_timeout, 42)
                # The shared query is still waited for by the first, so the other is the second's.
                await until_under_way(dsn, 2)
                assert service.statistics().waiting == 1
        assert answers.users == [expected_user(42)] * 2
        assert service.statistics().joined == 1

    async def test_a_query_that_hangs_is_given_up(
        self, service: UserService, dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service_module, "COALESCE_TIMEOUT", 60)
        monkeypatch.setattr(service_module, "QUERY_TIMEOUT", 0.01)
        with hold_queries(dsn):
            with pytest.raises(TimeoutError):
                await service.get_user_with_timeout(42)
            await until_under_way(dsn, 0)


class TestPoolGauge:
    async def test_busy_seconds_are_the_integral_of_connections_in_use(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 100.0
        monkeypatch.setattr(anyio, "current_time", lambda: now)
        gauge = PoolGauge(2)
        now = 110.0
        with gauge.use():
            now = 111.0
            with gauge.use():
                assert gauge.in_use == 2
                now = 114.0
            now = 116.0
            assert gauge.busy_seconds(117.0) == 1 + 2 * 3 + 3
        assert gauge.in_use == 0
        assert gauge.busy_seconds(1000.0) == 1 + 2 * 3 + 2

    async def test_a_use_that_fails_is_over(self) -> None:
        gauge = PoolGauge(1)
        with pytest.raises(ZeroDivisionError), gauge.use():
            _ = 1 // 0
        assert gauge.in_use == 0
