"""Shadow mode: nothing is shared or changed, and what would have been shared is counted."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyflight import CallJoined, Coalescer, FlightLanded, Instrument
from tests.support import CANCELLED, Caller, Work, assert_idle, settle, start, start_many

pytestmark = pytest.mark.anyio
SEEN: ContextVar[str] = ContextVar("SEEN", default="nothing")


async def test_every_call_runs_by_itself_and_is_counted_as_if_it_had_joined() -> None:
    work = Work()
    async with Coalescer[int, int](shadow=True) as coalescer, anyio.create_task_group() as tasks:
        callers = await start_many(200, tasks, coalescer, 1, work, 7)
        assert work.running == 200
        now = coalescer.statistics()
        assert (now.calls, now.flights, now.joined, now.waiting) == (200, 1, 199, 200)
        work.go.set()
    assert [caller.value for caller in callers] == [7] * 200
    assert coalescer.statistics().succeeded == 1
    assert_idle(coalescer)


async def test_the_function_runs_in_the_callers_own_task_and_context() -> None:
    async def work() -> int:
        SEEN.set("by the work")
        return anyio.get_current_task().id

    async with Coalescer[int, int](shadow=True) as coalescer:
        assert await coalescer.execute(1, work) == anyio.get_current_task().id
    assert SEEN.get() == "by the work"


async def test_an_error_comes_out_as_the_very_same_object() -> None:
    error = ValueError("as it was")

    async def work() -> None:
        raise error

    async with Coalescer[int, None](shadow=True) as coalescer:
        with pytest.raises(ValueError, match="as it was") as caught:
            await coalescer.execute(1, work)
    assert caught.value is error
    assert coalescer.statistics().failed == 1
    assert_idle(coalescer)


async def test_the_callers_cancellation_reaches_the_work_and_nobody_elses() -> None:
    work = Work()
    async with Coalescer[int, int](shadow=True) as coalescer, anyio.create_task_group() as tasks:
        first, second = await start_many(2, tasks, coalescer, 1, work, 7)
        first.cancel()
        await settle()
        assert (first.outcome, work.cancelled, work.running) == (CANCELLED, 1, 1)
        # The leader would have gone on for the second.
        assert coalescer.statistics().in_flight == 1
        late = await start(tasks, coalescer, 1, work, 7)
        assert coalescer.statistics().joined == 2
        work.go.set()
    assert (second.value, late.value) == (7, 7)
    assert (coalescer.statistics().flights, coalescer.statistics().succeeded) == (1, 1)
    assert_idle(coalescer)


async def test_a_flight_that_all_have_left_is_counted_as_cancelled() -> None:
    work = Work()
    async with Coalescer[int, int](shadow=True) as coalescer, anyio.create_task_group() as tasks:
        for caller in await start_many(2, tasks, coalescer, 1, work):
            caller.cancel()
    assert coalescer.statistics().cancelled == 1
    assert_idle(coalescer)


async def test_a_call_that_ends_sooner_than_the_first_ends_no_flight() -> None:
    slow, quick = Work(), Work()
    quick.go.set()
    async with Coalescer[int, int](shadow=True) as coalescer, anyio.create_task_group() as tasks:
        first = await start(tasks, coalescer, 1, slow, 1)
        second = await start(tasks, coalescer, 1, quick, 2)
        assert second.value == 2
        assert coalescer.statistics().in_flight == 1
        first.cancel()
    # With the first gone, what the second had is what all would have got.
    assert coalescer.statistics().succeeded == 1
    assert_idle(coalescer)


async def test_a_call_made_after_the_landing_is_a_new_flight() -> None:
    async def work() -> None:
        await checkpoint()

    async with Coalescer[int, None](shadow=True) as coalescer:
        await coalescer.execute(1, work)
        await coalescer.execute(1, work)
    assert coalescer.statistics().flights == 2


async def test_fresh_calls_would_share_the_queued_flight_and_do_not_wait_for_it() -> None:
    work = Work()
    async with Coalescer[int, int](shadow=True) as coalescer, anyio.create_task_group() as tasks:
        await start(tasks, coalescer, 1, work)
        await start_many(3, tasks, coalescer, 1, work, fresh=True)
        assert work.running == 4
        assert [info.state for info in coalescer.flights()] == ["running", "queued"]
        work.go.set()
    now = coalescer.statistics()
    assert (now.flights, now.joined, now.succeeded) == (2, 2, 2)
    assert_idle(coalescer)


async def test_forget_starts_a_new_flight_in_the_count() -> None:
    work = Work()
    async with Coalescer[int, int](shadow=True) as coalescer, anyio.create_task_group() as tasks:
        await start(tasks, coalescer, 1, work)
        await start(tasks, coalescer, 1, work, fresh=True)
        assert coalescer.forget(1)
        assert [info.state for info in coalescer.flights()] == ["running", "detached"]
        work.go.set()
    assert not coalescer.forget(1)
    assert_idle(coalescer)


async def test_a_call_too_many_is_counted_as_refused_and_runs() -> None:
    work = Work()
    async with (
        Coalescer[int, int](shadow=True, max_waiters=2) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        callers = await start_many(3, tasks, coalescer, 1, work, 7)
        work.go.set()
    assert [caller.value for caller in callers] == [7] * 3
    assert coalescer.statistics().refused == 1
    assert_idle(coalescer)


async def test_a_flight_too_old_to_join_is_counted_as_detached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("anyflight._shadow.current_time", lambda: now)
    work = Work()
    async with (
        Coalescer[int, int](shadow=True, max_join_age=1) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, coalescer, 1, work)
        now = 2.0
        await start(tasks, coalescer, 1, work)
        work.go.set()
    assert coalescer.statistics().flights == 2
    assert_idle(coalescer)


async def test_no_other_policy_is_at_work() -> None:
    limiter = anyio.CapacityLimiter(1)
    options = {"limiter": limiter, "flight_timeout": 0.001, "retry_on": Exception, "copy": list}
    async with Coalescer[int, object](shadow=True, **options) as coalescer:  # type: ignore[arg-type]

        async def work() -> str:
            # It calls itself in a circle, which would be a deadlock.
            return "done" if SEEN.get() == "inside" else await within()

        async def within() -> str:
            SEEN.set("inside")
            await anyio.sleep(0.01)
            return str(await coalescer.execute(1, work))

        assert await coalescer.execute(1, work) == "done"
    assert limiter.borrowed_tokens == 0


async def test_a_calls_own_timeout_and_fallback_hold() -> None:
    async def stuck() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    async def fallback() -> str:
        return "fallback"

    async with Coalescer[int, str](shadow=True) as coalescer:
        assert await coalescer.execute(1, stuck, timeout=0.001, fallback=fallback) == "fallback"
        with pytest.raises(TimeoutError):
            await coalescer.execute(1, stuck, timeout=0.001)
    assert_idle(coalescer)


async def test_a_closed_coalescer_refuses_calls_as_ever() -> None:
    coalescer = Coalescer[int, int](shadow=True)
    with pytest.raises(RuntimeError, match="not open"):
        await coalescer.execute(1, Work())
    async with coalescer:
        pass
    with pytest.raises(anyio.ClosedResourceError):
        await coalescer.execute(1, Work())


async def test_an_unhashable_key_is_an_error_as_ever() -> None:
    async with Coalescer[list[int], int](shadow=True) as coalescer:
        with pytest.raises(TypeError, match="hashable"):
            await coalescer.execute([1], Work())


async def test_closing_does_not_wait_for_calls_nor_cancel_them() -> None:
    work, caller = Work(), Caller()
    async with anyio.create_task_group() as tasks:
        with pytest.raises(OSError, match="the block"):
            async with Coalescer[int, int](shadow=True) as coalescer:
                tasks.start_soon(caller.run, "scope", lambda: coalescer.execute(1, work, 7))
                await settle()
                raise OSError("the block")
        assert work.running == 1
        work.go.set()
    assert caller.value == 7
    assert_idle(coalescer)


async def test_an_instrument_counts_by_key() -> None:
    class Joins(Instrument):
        def __init__(self) -> None:
            self.joined: list[object] = []
            self.landed: list[tuple[object, int]] = []

        def call_joined(self, event: CallJoined) -> None:
            self.joined.append(event.key)

        def flight_landed(self, event: FlightLanded) -> None:
            self.landed.append((event.key, event.waiters))

    work, joins = Work(), Joins()
    async with (
        Coalescer[str, int](shadow=True, instruments=[joins]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        await start_many(3, tasks, coalescer, "a", work)
        await start_many(1, tasks, coalescer, "b", work)
        work.go.set()
    assert joins.joined == ["a", "a"]
    assert sorted(joins.landed) == [("a", 3), ("b", 1)]


def test_keyboard_interrupt_in_a_call_comes_out_as_it_is() -> None:
    async def main() -> None:
        async def work() -> None:
            raise KeyboardInterrupt

        async with Coalescer[int, None](shadow=True) as coalescer:
            try:
                await coalescer.execute(1, work)
            finally:
                assert_idle(coalescer)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


async def test_a_call_that_would_have_started_nothing_is_not_counted() -> None:
    async with Coalescer[int, Any](shadow=True) as coalescer:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await coalescer.execute(1, work := Work())
        assert len(work.calls) == 1  # as without a coalescer
        assert coalescer.statistics().calls == 0


async def test_what_a_closed_one_has_counted_and_not_landed_can_be_seen_and_forgotten() -> None:
    async with anyio.create_task_group() as tasks:
        async with Coalescer[int, Any](shadow=True) as coalescer:
            await start_many(2, tasks, coalescer, 1, work := Work())
        (flight,) = coalescer.flights()
        assert (flight.key, flight.waiters) == (1, 2)
        assert coalescer.forget(1)
        assert not coalescer.forget(1)
        work.go.set()
    assert_idle(coalescer)
