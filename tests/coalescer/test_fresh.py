"""Law 5: one queued flight, and fresh calls that never see a result from before they were made."""

from __future__ import annotations

import anyio
import pytest

from anyflight import Coalescer, FlightState
from tests.support import Work, assert_idle, settle, start, start_many

pytestmark = pytest.mark.anyio


async def test_law_5_a_thousand_fresh_calls_during_one_execution_cost_one_more() -> None:
    old, new = Work(), Work()
    new.go.set()
    async with Coalescer[int, str]() as coalescer, anyio.create_task_group() as tasks:
        before = await start(tasks, coalescer, 1, old, "old")
        after = await start_many(1000, tasks, coalescer, 1, new, "new", fresh=True)
        assert new.calls == []  # at most one execution runs at a time
        old.go.set()
    assert before.value == "old"
    assert {caller.value for caller in after} == {"new"}
    assert (len(old.calls), len(new.calls)) == (1, 1)
    assert_idle(coalescer)


async def test_law_5_a_fresh_call_gets_an_execution_that_began_after_the_call() -> None:
    database = {"row": 1}

    async def read() -> int:
        value = database["row"]
        await gate.wait()
        return value

    gate = anyio.Event()
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        stale = await start(tasks, coalescer, "row", read)
        database["row"] = 2
        joined = await start(tasks, coalescer, "row", read)
        fresh = await start(tasks, coalescer, "row", read, fresh=True)
        gate.set()
    assert stale.value == joined.value == 1
    assert fresh.value == 2


async def test_law_5_a_call_that_is_not_fresh_joins_the_running_flight_not_the_queued() -> None:
    work = Work()
    async with Coalescer[int, str]() as coalescer, anyio.create_task_group() as tasks:
        first = await start(tasks, coalescer, 1, work, "first")
        second = await start(tasks, coalescer, 1, work, "second", fresh=True)
        third = await start(tasks, coalescer, 1, work, "third")
        assert [(info.state, info.waiters) for info in coalescer.flights()] == [
            (FlightState.RUNNING, 2),
            (FlightState.QUEUED, 1),
        ]
        work.go.set()
    assert [first.value, second.value, third.value] == ["first", "second", "first"]
    assert work.most_running == 1


async def test_law_5_fresh_joins_a_flight_whose_function_has_not_been_called() -> None:
    work = Work()
    work.go.set()
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:

        async def call() -> None:
            assert await coalescer.execute(1, work, 1, fresh=True) == 1

        # All of them run before the leader's first step.
        for _ in range(10):
            tasks.start_soon(call)
    assert len(work.calls) == 1


async def test_law_5_fresh_alone_is_a_call_like_any_other() -> None:
    work = Work()
    work.go.set()
    async with Coalescer[int, int]() as coalescer:
        assert await coalescer.execute(1, work, 1, fresh=True) == 1
    assert_idle(coalescer)


async def test_law_5_fresh_calls_one_wave_after_the_other_never_overlap() -> None:
    works = [Work() for _ in range(5)]
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        waves = []
        for n, work in enumerate(works):
            count = 3 if n else 1  # the first of all flies at once
            waves.append(await start_many(count, tasks, coalescer, 1, work, n, fresh=True))
            assert sum(other.running for other in works) == 1
            if n:
                works[n - 1].go.set()
                await settle()
        works[-1].go.set()
    assert [{caller.value for caller in wave} for wave in waves] == [{n} for n in range(5)]
    assert [len(work.calls) for work in works] == [1] * 5
    assert_idle(coalescer)


async def test_law_5_forget_lets_the_queued_flight_take_off_now() -> None:
    old, new = Work(), Work()
    async with Coalescer[int, str]() as coalescer, anyio.create_task_group() as tasks:
        before = await start(tasks, coalescer, 1, old, "old")
        fresh = await start(tasks, coalescer, 1, new, "new", fresh=True)
        assert coalescer.forget(1)
        joined = await start(tasks, coalescer, 1, new, "newer")
        assert new.calls == [("new",)]
        new.go.set()
        await settle()
        assert fresh.value == joined.value == "new"
        old.go.set()
    assert before.value == "old"
    assert_idle(coalescer)


async def test_law_5_an_error_of_the_running_flight_does_not_touch_the_queued_one() -> None:
    bad, good = Work(fail=ValueError("bad")), Work()
    good.go.set()
    async with Coalescer[int, str]() as coalescer, anyio.create_task_group() as tasks:
        before = await start(tasks, coalescer, 1, bad)
        fresh = await start(tasks, coalescer, 1, good, "good", fresh=True)
        bad.go.set()
    assert isinstance(before.outcome, ValueError)
    assert fresh.value == "good"
