"""Law 2: cancelling or failing any caller disturbs neither the flight nor any other waiter."""

from __future__ import annotations

import anyio
import pytest

from anyflight import Coalescer
from tests.support import CANCELLED, WAYS, Work, assert_idle, settle, start, start_many

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("victim", [0, 1, 199])
async def test_law_2_cancelling_one_of_two_hundred_harms_nobody_else(way: str, victim: int) -> None:
    work = Work()
    async with Coalescer[int, str]() as coalescer, anyio.create_task_group() as tasks:
        callers = await start_many(200, tasks, coalescer, 42, work, "user 42", way=way)
        callers[victim].cancel()
        await settle()
        assert callers[victim].outcome is CANCELLED
        assert coalescer.statistics().waiting == 199
        work.go.set()
    del callers[victim]
    assert [caller.value for caller in callers] == ["user 42"] * 199
    assert len(work.calls) == 1
    assert work.cancelled == 0
    assert_idle(coalescer)


@pytest.mark.parametrize("way", WAYS)
async def test_law_2_cancelling_all_but_one_harms_not_that_one(way: str) -> None:
    work = Work()
    async with Coalescer[int, str]() as coalescer, anyio.create_task_group() as tasks:
        callers = await start_many(200, tasks, coalescer, 42, work, "user 42", way=way)
        for caller in callers[:-1]:
            caller.cancel()
        await settle()
        work.go.set()
    assert [caller.outcome for caller in callers[:-1]] == [CANCELLED] * 199
    assert callers[-1].value == "user 42"
    assert work.cancelled == 0


async def test_law_2_a_starter_whose_task_group_fails_harms_nobody_else() -> None:
    work = Work()
    async with Coalescer[int, str]() as coalescer, anyio.create_task_group() as tasks:
        failing = anyio.Event()

        async def fail_later() -> None:
            with pytest.raises(ExceptionGroup):
                async with anyio.create_task_group() as request:
                    await start(request, coalescer, 42, work, "user 42")
                    await failing.wait()
                    raise ValueError("the request failed")

        tasks.start_soon(fail_later)
        await settle()
        other = await start(tasks, coalescer, 42, work, "user 42")
        failing.set()
        await settle()
        work.go.set()
    assert other.value == "user 42"
    assert work.cancelled == 0


@pytest.mark.parametrize("way", WAYS)
async def test_law_2_the_outcome_and_a_cancellation_in_the_same_tick(way: str) -> None:
    work = Work()
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        first, second = await start_many(2, tasks, coalescer, 1, work, 5, way=way)
        work.go.set()
        first.cancel()
    assert first.outcome in {5, CANCELLED}
    assert second.value == 5
    assert_idle(coalescer)


async def test_the_leader_runs_in_a_task_of_its_own_that_names_its_coalescer() -> None:
    async def who() -> anyio.TaskInfo:
        return anyio.get_current_task()

    async with Coalescer[int, anyio.TaskInfo](name="users") as coalescer:
        leader = await coalescer.execute(1, who)
    assert leader.id != anyio.get_current_task().id
    assert leader.name == "Coalescer 'users' leader"
