"""Law 9: no waiter ever receives a cancellation that was meant for another scope."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyflight import Coalescer, FlightCancelledError
from tests.support import (
    ASYNCIO_BACKENDS,
    WAYS,
    Work,
    assert_idle,
    caught_cancellation,
    settle,
    start,
    start_many,
)

pytestmark = pytest.mark.anyio


async def foreign_future() -> None:
    """Await an asyncio future that somebody else cancels."""
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    await future


async def foreign_task() -> None:
    """Await an asyncio task that somebody else cancels."""
    task = asyncio.ensure_future(asyncio.sleep(60))
    asyncio.get_running_loop().call_soon(task.cancel)
    await task


async def own_task() -> None:
    """Be the leader's task, and be cancelled natively."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.sleep(60)


async def stored_cancellation() -> None:
    """Raise a cancellation that was caught elsewhere."""
    await anyio.lowlevel.checkpoint()
    raise await caught_cancellation()


async def group_of_cancellations() -> None:
    await anyio.lowlevel.checkpoint()
    raise BaseExceptionGroup("all cancelled", [await caught_cancellation() for _ in range(2)])


@pytest.mark.parametrize("cancelled_work", [stored_cancellation, group_of_cancellations])
async def test_law_9_a_foreign_cancellation_in_one_leader_leaves_every_other_flight_alone(
    cancelled_work: Callable[[], Awaitable[None]],
) -> None:
    await check_foreign_cancellation(cancelled_work)


@pytest.mark.parametrize("anyio_backend", ASYNCIO_BACKENDS)
@pytest.mark.parametrize("cancelled_work", [foreign_future, foreign_task, own_task])
async def test_law_9_a_native_foreign_cancellation_leaves_every_other_flight_alone(
    cancelled_work: Callable[[], Awaitable[None]],
) -> None:
    await check_foreign_cancellation(cancelled_work)


async def check_foreign_cancellation(cancelled_work: Callable[[], Awaitable[None]]) -> None:
    go, other = anyio.Event(), Work()

    async def work() -> None:
        await go.wait()
        await cancelled_work()

    async with Coalescer[str, Any]() as coalescer, anyio.create_task_group() as tasks:
        bystander = await start(tasks, coalescer, "other", other, 1)
        callers = await start_many(5, tasks, coalescer, "k", work)
        queued = await start(tasks, coalescer, "k", other, 2, fresh=True)
        go.set()
        await settle()
        for caller in callers:
            assert type(caller.outcome) is FlightCancelledError
            assert caller.outcome.key == "k"
            assert isinstance(caller.outcome.__cause__, BaseException)
            assert "not meant for it" in str(caller.outcome)
        assert coalescer.statistics().cancelled == 1
        other.go.set()
    assert bystander.value == 1
    assert queued.value == 2
    assert_idle(coalescer)


@pytest.mark.parametrize("way", WAYS)
async def test_law_9_who_comes_during_the_cancellation_of_others_is_not_cancelled(way: str) -> None:
    work = Work()
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        first = await start_many(3, tasks, coalescer, "k", work, 1, way=way)
        for caller in first:
            caller.cancel()
        # No turn of the loop in between: the flight is doomed, but its waiters have not left yet.
        late = await start(tasks, coalescer, "k", work, 2, way=way)
        work.go.set()
    assert late.value in {1, 2}
    assert work.most_running == 1
    assert_idle(coalescer)


async def test_law_9_a_group_with_a_cancellation_in_it_arrives_without_it() -> None:
    async def work() -> None:
        await go.wait()
        raise BaseExceptionGroup("mixed", [ValueError(1), await caught_cancellation()])

    go = anyio.Event()
    async with Coalescer[str, None]() as coalescer, anyio.create_task_group() as tasks:
        callers = await start_many(2, tasks, coalescer, "k", work)
        go.set()
    for caller in callers:
        assert type(caller.outcome) is ExceptionGroup
        assert caller.outcome.message == "mixed"
        assert [repr(error) for error in caller.outcome.exceptions] == ["ValueError(1)"]
    assert coalescer.statistics().failed == 1


async def test_law_9_the_work_may_have_timeouts_of_its_own() -> None:
    async def work() -> str:
        with anyio.move_on_after(0):
            await anyio.sleep_forever()
        return "went on"

    async with Coalescer[str, str]() as coalescer:
        assert await coalescer.execute("k", work) == "went on"


async def test_law_9_work_that_shields_itself_serves_calls_made_after_it_was_abandoned() -> None:
    async def work(value: int) -> int:
        with anyio.CancelScope(shield=True):
            await go.wait()
        await anyio.lowlevel.checkpoint()
        return value

    go = anyio.Event()
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        (await start(tasks, coalescer, "k", work, 1)).cancel()
        await settle()
        late = await start(tasks, coalescer, "k", work, 2)
        go.set()
    assert late.value == 2
    assert_idle(coalescer)
