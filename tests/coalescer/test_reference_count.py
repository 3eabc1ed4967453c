"""Law 3: what becomes of a flight when its last waiter leaves."""

from __future__ import annotations

from typing import Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyflight import Coalescer, FlightState
from tests.support import CANCELLED, WAYS, Work, assert_idle, settle, start, start_many

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("way", WAYS)
async def test_law_3_the_work_is_cancelled_when_all_have_left(way: str) -> None:
    work = Work()
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        callers = await start_many(3, tasks, coalescer, 1, work, 1, way=way)
        for left, caller in enumerate(callers):
            assert work.cancelled == 0, f"cancelled after {left} of 3 had left"
            caller.cancel()
            await settle()
        assert work.cancelled == 1
    assert coalescer.statistics().cancelled == 1
    assert_idle(coalescer)


@pytest.mark.parametrize("way", WAYS)
async def test_law_3_finish_lets_an_abandoned_flight_end_and_be_joined(way: str) -> None:
    work = Work()
    coalescer = Coalescer[int, int](on_abandon="finish")
    async with coalescer, anyio.create_task_group() as tasks:
        first = await start(tasks, coalescer, 1, work, 7, way=way)
        first.cancel()
        await settle()
        assert [info.state for info in coalescer.flights()] == [FlightState.ABANDONED]
        second = await start(tasks, coalescer, 1, work, 8, way=way)
        work.go.set()
    assert first.outcome is CANCELLED
    assert second.value == 7
    assert work.calls == [(7,)]
    assert work.cancelled == 0
    assert_idle(coalescer)


async def test_law_3_a_finished_flight_that_nobody_waits_for_counts_as_it_ended() -> None:
    for fail in (None, ValueError("late")):
        work = Work(fail=fail)
        coalescer = Coalescer[int, int](on_abandon="finish")
        async with coalescer, anyio.create_task_group() as tasks:
            (await start(tasks, coalescer, 1, work, 1)).cancel()
            await settle()
            work.go.set()
        now = coalescer.statistics()
        assert (now.succeeded, now.failed) == ((1, 0) if fail is None else (0, 1))


@pytest.mark.parametrize("way", ["scope", "native"])  # asyncio.timeout() takes a tick longer
@pytest.mark.parametrize("on_abandon", ["cancel", "finish"])
async def test_law_3_a_flight_abandoned_before_its_first_step_never_calls_the_function(
    on_abandon: Literal["cancel", "finish"], way: str
) -> None:
    first, second = Work(), Work()
    coalescer = Coalescer[int, int](on_abandon=on_abandon)
    async with coalescer, anyio.create_task_group() as tasks:
        running = await start(tasks, coalescer, 1, first, 1)
        queued = await start(tasks, coalescer, 1, second, 2, fresh=True, way=way)
        # In one tick: the first flight lands, so that the second gets its leader, and the second
        # loses its only waiter, before that leader can take a step.
        first.go.set()
        queued.cancel()
        await settle()
        assert coalescer.flights() == ()  # the key is free at once: there is nothing to clean up
        assert await coalescer.execute(1, _return, 3) == 3
    assert running.value == 1
    assert queued.outcome is CANCELLED
    assert second.calls == []
    assert_idle(coalescer)


async def _return(value: int) -> int:
    return value


async def test_law_3_nothing_is_started_for_a_call_in_a_cancelled_scope() -> None:
    work = Work()
    async with Coalescer[int, int]() as coalescer:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await coalescer.execute(1, work, 1)
        await settle()
    assert scope.cancelled_caught
    assert coalescer.statistics().calls == 0
    assert work.calls == []


@pytest.mark.parametrize("on_abandon", ["cancel", "finish"])
async def test_law_3_a_queued_flight_that_is_abandoned_never_takes_off(
    on_abandon: Literal["cancel", "finish"],
) -> None:
    work, queued = Work(), Work()
    coalescer = Coalescer[int, int](on_abandon=on_abandon)
    async with coalescer, anyio.create_task_group() as tasks:
        running = await start(tasks, coalescer, 1, work, 1)
        waiting = await start_many(2, tasks, coalescer, 1, queued, 2, fresh=True)
        for caller in waiting:
            caller.cancel()
        await settle()
        assert len(coalescer.flights()) == 1
        work.go.set()
    assert running.value == 1
    assert queued.calls == []
    assert_idle(coalescer)


async def test_law_3_a_caller_does_not_wait_for_the_clean_up_of_work_it_abandoned() -> None:
    work = Work(slow_cleanup=True)
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        caller = await start(tasks, coalescer, 1, work, 1)
        caller.cancel()
        await settle()
        assert caller.outcome is CANCELLED
        assert work.running == 1
        work.cleaned_up.set()


async def test_an_abandoned_flight_may_ignore_its_cancellation_and_end_with_a_value() -> None:
    async def stubborn() -> int:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return 1
        raise AssertionError

    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        (await start(tasks, coalescer, 1, stubborn)).cancel()
        await checkpoint()
    assert coalescer.statistics().succeeded == 1
    assert_idle(coalescer)


async def test_an_error_in_the_clean_up_of_an_abandoned_flight_harms_nobody() -> None:
    async def clumsy() -> int:
        try:
            return await anyio.sleep_forever()
        finally:
            raise ValueError("clean-up failed")

    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        other_work = Work()
        other = await start(tasks, coalescer, 2, other_work, 2)
        (await start(tasks, coalescer, 1, clumsy)).cancel()
        await settle()
        other_work.go.set()
    assert other.value == 2
    assert coalescer.statistics().failed == 1
    assert_idle(coalescer)
