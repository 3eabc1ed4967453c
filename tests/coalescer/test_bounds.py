"""Law 12: what bounds a flight: `flight_timeout`, `limiter` and `max_waiters`, each on its own."""

from __future__ import annotations

import asyncio
import gc
import math
import weakref
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyflight import (
    Coalescer,
    DeadlockError,
    FlightCancelledError,
    FlightTimeoutError,
    TooManyWaitersError,
)
from tests.support import (
    ASYNCIO_BACKENDS,
    CANCELLED,
    PENDING,
    WAYS,
    Caller,
    HandClock,
    Work,
    assert_idle,
    asyncio_tasks,
    caught_cancellation,
    settle,
    start,
    start_many,
)

pytestmark = pytest.mark.anyio
HOUR = 3600.0


class Thing:
    """A key, an argument or a value, to see when it goes."""


class TestMaxWaiters:
    async def test_law_12_one_call_more_is_refused_and_starts_nothing(self) -> None:
        work = Work()
        async with Coalescer[int, int](max_waiters=3) as coalescer:
            async with anyio.create_task_group() as tasks:
                callers = await start_many(3, tasks, coalescer, 1, work, 1)
                with pytest.raises(TooManyWaitersError, match="3 calls wait for key 1") as caught:
                    await coalescer.execute(1, work, 2)
                assert caught.value.key == 1
                assert [info.waiters for info in coalescer.flights()] == [3]
                other = await start(tasks, coalescer, 2, work, 2)  # other keys have room
                work.go.set()
            assert [caller.value for caller in [*callers, other]] == [1, 1, 1, 2]
        now = coalescer.statistics()
        assert (now.calls, now.flights, now.joined, now.refused) == (5, 2, 2, 1)
        assert len(work.calls) == 2
        assert_idle(coalescer)

    async def test_law_12_with_one_waiter_at_most_nobody_joins(self) -> None:
        work = Work()
        async with Coalescer[int, int](max_waiters=1) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, work, 1)
                with pytest.raises(TooManyWaitersError):
                    await coalescer.execute(1, work, 1)
                work.go.set()
            assert caller.value == 1
            assert await coalescer.execute(1, work, 2) == 2

    @pytest.mark.parametrize("way", WAYS)
    async def test_law_12_who_leaves_makes_room(self, way: str) -> None:
        work = Work()
        async with Coalescer[int, int](max_waiters=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                starter, joined = await start_many(2, tasks, coalescer, 1, work, 1, way=way)
                starter.cancel()
                await settle()
                late = await start(tasks, coalescer, 1, work, 1)
                with pytest.raises(TooManyWaitersError):
                    await coalescer.execute(1, work, 1)
                work.go.set()
            assert (starter.outcome, joined.value, late.value) == (CANCELLED, 1, 1)
        assert_idle(coalescer)

    async def test_law_15_a_refused_call_lets_others_run(self) -> None:
        """Or a caller that tries again and again would keep its event loop from all else."""

        async def insist() -> int:
            while True:
                try:
                    return await coalescer.execute(1, work, 2)
                except TooManyWaitersError:
                    work.go.set()

        work = Work()
        async with Coalescer[int, int](max_waiters=1) as coalescer:
            async with anyio.create_task_group() as tasks:
                first = await start(tasks, coalescer, 1, work, 1)
                assert await insist() == 2
        assert first.value == 1
        assert coalescer.statistics().refused > 0
        assert_idle(coalescer)

    async def test_law_15_a_refused_call_in_a_cancelled_scope_is_cancelled(self) -> None:
        work = Work()
        async with Coalescer[int, int](max_waiters=1) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, work, 1)
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await coalescer.execute(1, work, 2)
                assert scope.cancelled_caught
                work.go.set()


class TestLimiter:
    async def test_law_12_no_more_leaders_run_work_at_once_than_there_are_tokens(self) -> None:
        limiter, work = anyio.CapacityLimiter(2), Work()
        async with Coalescer[int, int](limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                for key in range(6):
                    tasks.start_soon(coalescer.execute, key, work, key)
                await settle()
                assert (work.running, limiter.borrowed_tokens) == (2, 2)
                states = [str(info.state) for info in coalescer.flights()]
                assert sorted(states) == ["running"] * 2 + ["starting"] * 4
                work.go.set()
        assert (len(work.calls), work.most_running) == (6, 2)
        assert limiter.borrowed_tokens == 0
        assert_idle(coalescer)

    async def test_a_call_joins_a_flight_that_waits_for_its_token_also_if_it_is_fresh(self) -> None:
        limiter, other, work = anyio.CapacityLimiter(1), Work(), Work()
        async with Coalescer[int, int](limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, other, 1)
                callers = await start_many(2, tasks, coalescer, 2, work, 2)
                callers.append(await start(tasks, coalescer, 2, work, 2, fresh=True))
                assert coalescer.statistics().in_flight == 2
                other.go.set()
                work.go.set()
            assert [caller.value for caller in callers] == [2] * 3
        assert len(work.calls) == 1

    @pytest.mark.parametrize("way", WAYS)
    async def test_law_3_a_flight_that_all_leave_while_it_waits_for_its_token_is_never_called(
        self, way: str
    ) -> None:
        limiter, other, work = anyio.CapacityLimiter(1), Work(), Work()
        async with Coalescer[int, int](limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                holder = await start(tasks, coalescer, 1, other, 1)
                callers = await start_many(2, tasks, coalescer, 2, work, 2, way=way)
                assert limiter.statistics().tasks_waiting == 1
                for caller in callers:
                    caller.cancel()
                await settle()
                # Its place in the limiter's queue is free, and so is its key.
                assert limiter.statistics().tasks_waiting == 0
                assert [info.key for info in coalescer.flights()] == [1]
                again = await start(tasks, coalescer, 2, work, 3)
                other.go.set()
                work.go.set()
            assert (holder.value, again.value) == (1, 3)
        assert work.calls == [(3,)]
        assert coalescer.statistics().cancelled == 1
        assert limiter.borrowed_tokens == 0
        assert_idle(coalescer)

    async def test_law_3_with_finish_too_what_has_not_begun_is_never_called(self) -> None:
        limiter, other, work = anyio.CapacityLimiter(1), Work(), Work()
        async with Coalescer[int, int](limiter=limiter, on_abandon="finish") as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, other, 1)
                (await start(tasks, coalescer, 2, work, 2)).cancel()
                await settle()
                assert limiter.statistics().tasks_waiting == 0
                other.go.set()
        assert work.calls == []
        assert limiter.borrowed_tokens == 0

    async def test_it_can_be_shared_between_coalescers_and_with_other_code(self) -> None:
        limiter, work = anyio.CapacityLimiter(2), Work()
        async with (
            Coalescer[int, int](limiter=limiter) as one,
            Coalescer[int, int](limiter=limiter) as other,
            anyio.create_task_group() as tasks,
        ):
            first = await start(tasks, one, 1, work, 1)
            async with limiter:
                second = await start(tasks, other, 1, work, 2)
                assert (work.running, limiter.borrowed_tokens) == (1, 2)
            await settle()
            assert (work.running, limiter.borrowed_tokens) == (2, 2)
            work.go.set()
        assert (first.value, second.value) == (1, 2)
        assert limiter.borrowed_tokens == 0

    async def test_its_tokens_may_be_changed_while_flights_wait(self) -> None:
        limiter, work = anyio.CapacityLimiter(1), Work()
        async with Coalescer[int, int](limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                for key in range(3):
                    tasks.start_soon(coalescer.execute, key, work, key)
                await settle()
                assert work.running == 1
                limiter.total_tokens = 3
                await settle()
                assert work.running == 3
                work.go.set()
        assert limiter.borrowed_tokens == 0

    @pytest.mark.parametrize("end", ["value", "error", "stray cancellation", "left", "owner"])
    async def test_law_16_the_token_is_given_back_however_the_flight_ends(self, end: str) -> None:
        async def stray() -> None:
            await work.go.wait()
            raise await caught_cancellation()

        limiter = anyio.CapacityLimiter(1)
        work = Work(fail=ValueError() if end == "error" else None)
        owner = Caller()
        coalescer = Coalescer[int, Any](limiter=limiter)

        async def own() -> None:
            async with coalescer:
                await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(owner.run, "scope", own)
            await settle()
            func = stray if end == "stray cancellation" else work
            first = await start(tasks, coalescer, 1, func)
            second = await start(tasks, coalescer, 2, func)
            assert limiter.statistics().tasks_waiting == 1
            if end == "left":
                first.cancel()
            if end == "owner":
                owner.cancel()
            else:
                work.go.set()
                await settle()
                assert PENDING not in {first.outcome, second.outcome}
                owner.cancel()
            await settle()
            assert limiter.borrowed_tokens == limiter.statistics().tasks_waiting == 0
        assert_idle(coalescer)

    @pytest.mark.parametrize("anyio_backend", ASYNCIO_BACKENDS)
    async def test_law_16_the_token_is_given_back_after_a_native_cancellation(self) -> None:
        """In the tick in which the leader has got its token, before it calls the function."""
        limiter, work = anyio.CapacityLimiter(1), Work()
        async with Coalescer[int, int](limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = Caller()

                async def call() -> int:
                    return await coalescer.execute(1, work, 1)

                tasks.start_soon(caller.run, "scope", call)
                while not limiter.borrowed_tokens:
                    await checkpoint()
                assert work.calls == []
                [leader] = asyncio_tasks("leader")
                leader.cancel()
            # RuntimeError is what the limiter of anyio 4.14.0 makes of it.
            assert isinstance(caller.outcome, (FlightCancelledError, RuntimeError))
            assert limiter.borrowed_tokens == 0
            work.go.set()
            assert await coalescer.execute(1, work, 2) == 2
        assert_idle(coalescer)

    async def test_law_11_work_that_waits_for_a_token_that_it_holds_itself_is_told_so(self) -> None:
        async def outer() -> str:
            return await coalescer.execute("inner", work)

        limiter, work = anyio.CapacityLimiter(1), Work()
        async with Coalescer[str, Any](limiter=limiter) as coalescer:
            with pytest.raises(DeadlockError) as caught:
                await coalescer.execute("outer", outer)
        assert caught.value.chain == ("outer", "inner", "outer")
        assert work.calls == []
        assert limiter.borrowed_tokens == limiter.statistics().tasks_waiting == 0
        assert_idle(coalescer)

    async def test_law_10_closing_waits_for_the_flights_that_wait_for_tokens(self) -> None:
        limiter, work, callers = anyio.CapacityLimiter(1), Work(), [Caller() for _ in range(3)]
        async with anyio.create_task_group() as tasks:
            async with Coalescer[int, int](limiter=limiter) as coalescer:
                callers = [await start(tasks, coalescer, key, work, key) for key in range(3)]
                tasks.start_soon(self.after_all_wait, work)
        assert [caller.value for caller in callers] == [0, 1, 2]
        assert work.most_running == 1
        assert limiter.borrowed_tokens == 0

    async def after_all_wait(self, work: Work) -> None:
        await settle()
        work.go.set()

    async def test_law_10_the_owners_error_calls_nothing_that_waits_for_a_token(self) -> None:
        limiter, work = anyio.CapacityLimiter(1), Work()
        async with anyio.create_task_group() as tasks:
            with pytest.raises(KeyError):
                async with Coalescer[int, int](limiter=limiter) as coalescer:
                    callers = [await start(tasks, coalescer, key, work, key) for key in range(3)]
                    raise KeyError
        assert {type(caller.outcome) for caller in callers} == {FlightCancelledError}
        assert len(work.calls) == 1
        assert limiter.borrowed_tokens == limiter.statistics().tasks_waiting == 0
        assert_idle(coalescer)

    def test_a_limiter_serves_one_event_loop_after_another(self) -> None:
        async def main() -> None:
            async with coalescer, anyio.create_task_group() as tasks:
                for key in range(3):
                    tasks.start_soon(coalescer.execute, key, checkpoint)

        limiter = anyio.CapacityLimiter(1)  # made at import time, before there is any
        coalescer = Coalescer[int, None](limiter=limiter)
        for _ in range(3):
            anyio.run(main)
        assert limiter.borrowed_tokens == 0
        assert_idle(coalescer)


class TestFlightTimeout:
    async def test_law_12_at_the_deadline_all_waiters_get_an_error_and_the_work_is_cancelled(
        self, clock: HandClock
    ) -> None:
        work = Work()
        async with Coalescer[str, int](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                callers = await start_many(3, tasks, coalescer, "k", work, 1)
                clock.advance(4.9)
                await settle()
                assert {caller.outcome for caller in callers} == {PENDING}
                clock.advance(0.1)
            assert {type(caller.outcome) for caller in callers} == {FlightTimeoutError}
            assert isinstance(callers[0].outcome, TimeoutError)
            assert str(callers[0].outcome) == "the flight for key 'k' took 5 seconds"
            assert {caller.outcome.key for caller in callers} == {"k"}
            assert len({id(caller.outcome) for caller in callers}) == 3
        assert work.cancelled == 1
        now = coalescer.statistics()
        assert (now.flights, now.timed_out, now.cancelled, now.failed) == (1, 1, 0, 0)
        assert_idle(coalescer)

    async def test_a_flight_in_time_notices_nothing(self, clock: HandClock) -> None:
        work = Work()
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, work, 1)
                clock.advance(4.9)
                await settle()
                work.go.set()
            clock.advance(9)
            await settle()
            assert caller.value == 1
            assert await coalescer.execute(1, work, 2) == 2
        assert work.cancelled == 0
        assert coalescer.statistics().timed_out == 0

    async def test_law_12_work_that_ignores_its_cancellation_keeps_neither_waiters_nor_the_key(
        self, clock: HandClock
    ) -> None:
        slow, quick, left = Work(slow_cleanup=True), Work(), []
        quick.go.set()

        async def own() -> None:
            async with coalescer:
                await leave.wait()
            left.append(1)

        coalescer, leave = Coalescer[int, str](flight_timeout=5), anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(own)
            await settle()
            late = await start(tasks, coalescer, 1, slow)
            clock.advance(5)
            await settle()
            assert isinstance(late.outcome, FlightTimeoutError)
            assert coalescer.flights() == ()
            assert await coalescer.execute(1, quick, "a new flight") == "a new flight"
            assert slow.running == 1
            leave.set()
            await settle()
            assert left == []  # closing waits for what is left of the work
            slow.cleaned_up.set()
        assert left == [1]
        assert_idle(coalescer)

    async def test_law_12_at_the_deadline_what_is_queued_takes_off_at_once(
        self, clock: HandClock
    ) -> None:
        slow, quick = Work(slow_cleanup=True), Work()
        async with Coalescer[int, str](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                late = await start(tasks, coalescer, 1, slow)
                clock.advance(3)
                queued = await start_many(2, tasks, coalescer, 1, quick, "new", fresh=True)
                clock.advance(2)
                await settle()
                assert isinstance(late.outcome, FlightTimeoutError)
                assert (slow.running, quick.running) == (1, 1)
                # Its five seconds begin now: the time in the queue does not count.
                assert clock.alarms == [10]
                quick.go.set()
                slow.cleaned_up.set()
            assert [caller.value for caller in queued] == ["new"] * 2
        assert_idle(coalescer)

    async def test_law_12_each_flight_has_a_deadline_of_its_own(self, clock: HandClock) -> None:
        work = Work()
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                callers = []
                for key in range(4):
                    callers.append(await start(tasks, coalescer, key, work, key))
                    clock.advance(1)
                # Now it is 4; deadlines are at 5, 6, 7 and 8.
                callers[1].cancel()
                for expired in (1, 1, 2, 3):
                    clock.advance(1)
                    await settle()
                    assert coalescer.statistics().timed_out == expired
        assert callers[1].outcome is CANCELLED
        assert_idle(coalescer)

    async def test_law_12_a_deadline_that_many_flights_share(self, clock: HandClock) -> None:
        work = Work()
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                callers = []
                for key in range(50):
                    callers += await start_many(1, tasks, coalescer, key, work, key)
                clock.advance(60)
            assert {type(caller.outcome) for caller in callers} == {FlightTimeoutError}
        assert coalescer.statistics().timed_out == work.cancelled == 50
        assert_idle(coalescer)

    async def test_law_12_waiting_for_a_token_counts(self, clock: HandClock) -> None:
        limiter, work = anyio.CapacityLimiter(1), Work()
        async with Coalescer[int, int](flight_timeout=5, limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                async with limiter:
                    caller = await start(tasks, coalescer, 1, work)
                    clock.advance(5)
                    await settle()
            expected = "took 5 seconds, all of them waiting for a token of the limiter"
            assert expected in str(caller.outcome)
            assert isinstance(caller.outcome, FlightTimeoutError)
            assert limiter.statistics().tasks_waiting == 0
        assert work.calls == []
        assert_idle(coalescer)

    async def test_law_10_closing_does_not_wait_for_the_deadline(self, clock: HandClock) -> None:
        work, coalescer = Work(), Coalescer[int, int](flight_timeout=HOUR)
        work.go.set()
        for _ in range(2):  # opened again, it keeps deadlines again
            async with coalescer:
                assert await coalescer.execute(1, work, 1) == 1
                await settle()
                assert clock.alarms == [HOUR]
            assert clock.alarms == []
        assert_idle(coalescer)

    async def test_law_10_deadlines_hold_while_the_coalescer_closes(self, clock: HandClock) -> None:
        work, caller = Work(), Caller()

        async def expire() -> None:
            await settle()
            clock.advance(5)

        async with anyio.create_task_group() as tasks:
            async with Coalescer[int, int](flight_timeout=5) as coalescer:
                caller = await start(tasks, coalescer, 1, work)
                tasks.start_soon(expire)
        assert isinstance(caller.outcome, FlightTimeoutError)
        assert clock.alarms == []
        assert_idle(coalescer)

    @pytest.mark.parametrize("how", ["error", "cancelled"])
    async def test_law_10_no_deadline_outlives_an_owner_that_is_gone(
        self, how: str, clock: HandClock
    ) -> None:
        async def own() -> None:
            async with coalescer:
                await leave.wait()
                raise KeyError

        coalescer, leave, owner = Coalescer[int, int](flight_timeout=5), anyio.Event(), Caller()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(owner.run, "scope", own)
            await settle()
            caller = await start(tasks, coalescer, 1, Work())
            if how == "error":
                leave.set()
            else:
                owner.cancel()
        assert isinstance(caller.outcome, FlightCancelledError)
        assert clock.alarms == []
        assert_idle(coalescer)

    async def test_the_keeper_of_deadlines_ends_when_there_is_none_and_comes_again(
        self, clock: HandClock
    ) -> None:
        work = Work()
        work.go.set()
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            for now in (0, 5, 10):
                assert await coalescer.execute(1, work, now) == now
                await settle()
                assert clock.alarms == [now + 5]
                clock.advance(5)
                await settle()
                assert clock.alarms == []
        assert_idle(coalescer)

    @pytest.mark.parametrize("way", WAYS)
    async def test_law_9_the_deadline_and_the_last_waiters_cancellation_in_the_same_tick(
        self, way: str, clock: HandClock
    ) -> None:
        work = Work()
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, work, way=way)
                clock.advance(5)
                caller.cancel()
            now = coalescer.statistics()
            assert now.timed_out + now.cancelled == 1
        assert caller.outcome is CANCELLED or isinstance(caller.outcome, FlightTimeoutError)
        assert work.cancelled == 1
        assert_idle(coalescer)

    async def test_law_9_the_deadline_and_the_result_in_the_same_tick(
        self, clock: HandClock
    ) -> None:
        work = Work()
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                callers = await start_many(2, tasks, coalescer, 1, work, 1)
                work.go.set()
                clock.advance(5)
            outcomes = {
                caller.outcome if caller.outcome == 1 else type(caller.outcome)
                for caller in callers
            }
            assert outcomes in ({1}, {FlightTimeoutError})  # but the same for both
        assert_idle(coalescer)

    async def test_law_12_with_a_real_clock(self) -> None:
        work = Work()
        async with Coalescer[int, int](flight_timeout=0.01) as coalescer:
            for _ in range(2):
                with pytest.raises(FlightTimeoutError, match=r"took 0\.01 seconds"):
                    await coalescer.execute(1, work)
        assert (work.cancelled, coalescer.statistics().timed_out) == (2, 2)

    async def test_an_infinite_time_is_none(self) -> None:
        work = Work()
        async with Coalescer[int, int](flight_timeout=math.inf) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, work, 1)
                work.go.set()
            assert caller.value == 1

    async def test_law_16_nothing_of_a_landed_flight_stays_till_its_deadline(
        self, clock: HandClock
    ) -> None:
        async def work(argument: Thing) -> Thing:
            await go.wait()
            thing = Thing()
            refs.append(weakref.ref(thing))
            return thing

        go, refs = anyio.Event(), []
        async with Coalescer[Any, Thing](flight_timeout=HOUR) as coalescer:
            async with anyio.create_task_group() as tasks:
                key, argument = Thing(), Thing()
                refs += [weakref.ref(key), weakref.ref(argument)]
                caller = await start(tasks, coalescer, key, work, argument)
                assert clock.alarms == [HOUR]
                del key, argument
                go.set()
            del caller
            gc.collect()
            assert [ref() for ref in refs] == [None, None, None]
            assert clock.alarms == [HOUR]
        assert clock.alarms == []

    async def test_a_flight_queued_when_the_block_is_left_has_its_deadline_too(
        self, clock: HandClock
    ) -> None:
        first, second = Work(), Work()
        async with anyio.create_task_group() as tasks:
            async with Coalescer[int, int](flight_timeout=5) as coalescer:
                running = await start(tasks, coalescer, 1, first, 1)
                queued = await start(tasks, coalescer, 1, second, 2, fresh=True)

                async def later() -> None:
                    await settle()
                    first.go.set()
                    await settle()
                    assert clock.alarms == [5]
                    clock.advance(5)

                tasks.start_soon(later)
        assert running.value == 1
        assert isinstance(queued.outcome, FlightTimeoutError)
        assert second.cancelled == 1
        assert_idle(coalescer)

    @pytest.mark.parametrize("anyio_backend", ASYNCIO_BACKENDS)
    async def test_a_native_cancellation_of_the_task_that_keeps_the_deadlines_loses_none(
        self, clock: HandClock
    ) -> None:
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, Work(), 1)
                [keeper] = asyncio_tasks("keeper of deadlines")
                keeper.cancel()
                await settle()
                clock.advance(5)
            assert isinstance(caller.outcome, FlightTimeoutError)
        assert_idle(coalescer)

    async def test_a_back_end_that_refuses_the_task_for_the_deadlines_hangs_nobody(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_owner: Any, task: Any, name: str) -> None:
            task.close()
            raise MemoryError("no more tasks")

        work = Work()
        work.go.set()
        async with Coalescer[int, int](flight_timeout=HOUR) as coalescer:
            with monkeypatch.context() as patch:
                patch.setattr(type(coalescer._owner), "start", refuse)
                with pytest.raises(MemoryError):
                    await coalescer.execute(1, work, 1)
            assert coalescer.flights() == ()
            assert await coalescer.execute(1, work, 1) == 1
        assert coalescer.statistics().failed == 1
        assert_idle(coalescer)


async def test_what_watches_deadlines_ends_with_the_event_loop_if_the_owner_was_never_closed(
    clock: HandClock, anyio_backend_name: str
) -> None:
    if anyio_backend_name == "trio":
        return  # there, tasks cannot be cancelled from outside, nor left behind
    work = Work()

    async def left_open() -> Coalescer[str, int]:
        return await Coalescer[str, int](flight_timeout=HOUR).__aenter__()

    # As at the end of asyncio.run(), which cancels what is left, once, and waits for it.
    coalescer = await asyncio.create_task(left_open())
    before = asyncio.all_tasks()
    call = asyncio.create_task(coalescer.execute("k", work))
    await settle()
    tasks = asyncio.all_tasks() - before
    assert len(tasks) > 1
    for task in tasks:
        task.cancel()
    await settle()
    clock.advance(0.05)
    await settle()
    assert call.cancelled()
    assert all(task.done() for task in tasks)


async def test_if_the_owner_is_there_still_deadlines_are_watched_to_their_end(
    clock: HandClock, anyio_backend_name: str
) -> None:
    if anyio_backend_name == "trio":
        return  # there, tasks cannot be cancelled from outside
    work = Work()
    async with (
        Coalescer[str, int](flight_timeout=1.2) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        call = await start(tasks, coalescer, "k", work)
        (keeper,) = [task for task in asyncio.all_tasks() if "deadlines" in task.get_name()]
        keeper.cancel()
        await settle()
        for _ in range(23):
            clock.advance(0.05)
            await settle()
        assert call.outcome is PENDING
        clock.advance(0.06)
        await settle()
        assert isinstance(call.outcome, FlightTimeoutError)
