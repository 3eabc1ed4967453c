"""Law 4: for one key at most one execution runs at a time, its clean-up included."""

from __future__ import annotations

import anyio
import pytest

from anyflight import Coalescer, FlightState
from tests.support import CANCELLED, WAYS, Work, assert_idle, settle, start, start_many

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("way", WAYS)
async def test_law_4_a_call_during_the_clean_up_waits_and_gets_an_execution_of_its_own(
    way: str,
) -> None:
    work = Work(slow_cleanup=True)
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        abandoner = await start(tasks, coalescer, 1, work, 1, way=way)
        abandoner.cancel()
        await settle()
        late = await start_many(3, tasks, coalescer, 1, work, 2, way=way)
        assert [info.state for info in coalescer.flights()] == [
            FlightState.ABANDONED,
            FlightState.QUEUED,
        ]
        assert len(work.calls) == 1
        work.cleaned_up.set()
        await settle()
        assert work.calls == [(1,), (2,)]
        work.go.set()
    assert abandoner.outcome is CANCELLED
    assert [caller.value for caller in late] == [2, 2, 2]
    assert work.most_running == 1
    assert work.cancelled == 1  # the late calls got no cancellation that was meant for the first
    assert_idle(coalescer)


async def test_law_4_the_clean_up_of_a_chain_of_abandoned_flights_never_overlaps() -> None:
    work = Work(slow_cleanup=True)
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        for n in range(5):
            caller = await start(tasks, coalescer, 1, work, n)
            caller.cancel()
            await settle()
        work.cleaned_up.set()
        await settle()
        last = await start(tasks, coalescer, 1, work, 9)
        work.go.set()
    assert last.value == 9
    assert work.calls == [(0,), (9,)]  # those queued behind the first were abandoned unflown
    assert work.most_running == 1
    assert_idle(coalescer)


async def test_law_4_forget_is_how_to_ask_for_an_overlap() -> None:
    work = Work(slow_cleanup=True)
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        (await start(tasks, coalescer, 1, work, 1)).cancel()
        await settle()
        late = await start(tasks, coalescer, 1, work, 2)
        assert coalescer.forget(1)
        await settle()
        assert work.calls == [(1,), (2,)]
        assert [info.state for info in coalescer.flights()] == [
            FlightState.RUNNING,
            FlightState.DETACHED,
        ]
        work.go.set()
        await settle()
        assert late.value == 2
        assert len(coalescer.flights()) == 1
        work.cleaned_up.set()
    assert work.most_running == 2
    assert_idle(coalescer)


async def test_forget_lets_the_next_call_start_at_once_and_serves_who_waits() -> None:
    old, new = Work(), Work()
    async with Coalescer[int, str]() as coalescer, anyio.create_task_group() as tasks:
        before = await start_many(2, tasks, coalescer, 1, old, "old")
        assert coalescer.forget(1)
        after = await start_many(2, tasks, coalescer, 1, new, "new")
        old.go.set()
        await settle()
        assert [caller.value for caller in before] == ["old", "old"]
        # The end of the old flight has not evicted the new one.
        after += await start_many(1, tasks, coalescer, 1, new, "newer")
        new.go.set()
    assert [caller.value for caller in after] == ["new"] * 3
    assert_idle(coalescer)


async def test_a_detached_flight_is_abandoned_like_any_other() -> None:
    work = Work()
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        caller = await start(tasks, coalescer, 1, work, 1)
        assert coalescer.forget(1)
        assert not coalescer.forget(1)
        caller.cancel()
        await settle()
        assert work.cancelled == 1
    assert_idle(coalescer)


async def test_forget_says_whether_there_was_a_flight() -> None:
    coalescer = Coalescer[int, int]()
    assert not coalescer.forget(1)
    async with coalescer:
        assert not coalescer.forget(1)
    assert not coalescer.forget(1)
