"""Two policies at once: each row of the table in docs/policies.md that no other module shows."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from anyflight import (
    Coalescer,
    FlightCancelledError,
    FlightState,
    FlightTimeoutError,
    TooManyWaitersError,
)
from tests.support import (
    CANCELLED,
    PENDING,
    Caller,
    HandClock,
    Work,
    assert_idle,
    settle,
    start,
    start_many,
)

pytestmark = pytest.mark.anyio


def states(coalescer: Coalescer[Any, Any]) -> list[FlightState]:
    return [info.state for info in coalescer.flights()]


def waiters(coalescer: Coalescer[Any, Any]) -> list[int]:
    return [info.waiters for info in coalescer.flights()]


async def fall_back(*args: Any) -> str:
    return f"fallback for {args[0]}"


class TestRetryOn:
    async def test_with_limiter_the_second_flight_takes_a_token_of_its_own(self) -> None:
        limiter, first, second = anyio.CapacityLimiter(1), Work(fail=ValueError()), Work()
        other = Work()
        async with Coalescer[Any, Any](limiter=limiter, retry_on=ValueError) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, "k", first)
                joined = await start_many(2, tasks, coalescer, "k", second, "second")
                await start(tasks, coalescer, "other", other)
                first.go.set()
                await settle()
                # The token of the failed flight went to who waited for it; the second is next.
                assert (other.running, second.running) == (1, 0)
                assert limiter.statistics().tasks_waiting == 1
                other.go.set()
                second.go.set()
            assert [caller.value for caller in joined] == ["second"] * 2
        assert limiter.borrowed_tokens == 0
        assert_idle(coalescer)

    async def test_with_max_waiters_a_refusal_is_no_failure_of_a_flight(self) -> None:
        work = Work()
        async with Coalescer[int, int](max_waiters=1, retry_on=Exception) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, work, 1)
                with pytest.raises(TooManyWaitersError):
                    await coalescer.execute(1, work, 2)
                work.go.set()
        assert coalescer.statistics().retried == 0
        assert_idle(coalescer)

    async def test_with_flight_timeout_each_attempt_has_the_whole_time(
        self, clock: HandClock
    ) -> None:
        work = Work()
        policies: dict[str, Any] = {"flight_timeout": 5, "retry_on": TimeoutError}
        async with Coalescer[int, int](**policies) as coalescer:
            async with anyio.create_task_group() as tasks:
                starter, *joined = await start_many(3, tasks, coalescer, 1, work)
                clock.advance(5)
                await settle()
                assert isinstance(starter.outcome, FlightTimeoutError)
                assert clock.alarms == [10]
                clock.advance(4.9)
                await settle()
                assert [caller.outcome for caller in joined] == [PENDING] * 2
                clock.advance(0.1)
            assert {type(caller.outcome) for caller in joined} == {FlightTimeoutError}
        assert len(work.calls) == 2
        assert coalescer.statistics().timed_out == 2
        assert_idle(coalescer)

    async def test_with_max_join_age_a_second_attempt_joins_no_flight_that_is_too_old(
        self, clock: HandClock
    ) -> None:
        failing, old, new = Work(fail=ValueError()), Work(), Work()
        async with Coalescer[int, str](max_join_age=2, retry_on=ValueError) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, failing)
                joined = await start(tasks, coalescer, 1, new, "new")
                assert coalescer.forget(1)
                other = await start(tasks, coalescer, 1, old, "old")
                clock.advance(3)
                failing.go.set()
                await settle()
                assert states(coalescer) == [FlightState.RUNNING, FlightState.DETACHED]
                new.go.set()
                old.go.set()
            assert (joined.value, other.value) == ("new", "old")
        assert_idle(coalescer)

    async def test_with_finish_who_joined_an_abandoned_flight_flies_once_more(self) -> None:
        first, second = Work(fail=ValueError()), Work()
        async with Coalescer[int, str](on_abandon="finish", retry_on=ValueError) as coalescer:
            async with anyio.create_task_group() as tasks:
                (await start(tasks, coalescer, 1, first)).cancel()
                await settle()
                late = await start_many(2, tasks, coalescer, 1, second, "second")
                assert waiters(coalescer) == [2]
                first.go.set()
                second.go.set()
            assert [caller.value for caller in late] == ["second"] * 2
        assert (len(first.calls), len(second.calls)) == (1, 1)

    async def test_with_copy_the_starter_of_the_second_flight_gets_its_original(self) -> None:
        async def fail() -> list[int]:
            await go.wait()
            raise ValueError

        async def make() -> list[int]:
            made.append([1])
            return made[-1]

        go, made = anyio.Event(), []
        async with Coalescer[int, list[int]](copy=list, retry_on=ValueError) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, fail)
                joined = await start_many(3, tasks, coalescer, 1, make)
                go.set()
        values = [caller.value for caller in joined]
        assert values == [[1]] * 3
        assert len({id(value) for value in values}) == 3
        assert sum(value is made[0] for value in values) == len(made) == 1


class TestLimiter:
    async def test_with_max_waiters_those_of_a_flight_without_a_token_count(self) -> None:
        limiter, work = anyio.CapacityLimiter(1), Work()
        async with Coalescer[int, int](limiter=limiter, max_waiters=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                async with limiter:
                    await start_many(2, tasks, coalescer, 1, work, 1)
                    with pytest.raises(TooManyWaitersError):
                        await coalescer.execute(1, work, 2)
                work.go.set()
        assert work.calls == [(1,)]

    async def test_with_flight_timeout_work_that_ignores_its_cancellation_keeps_its_token(
        self, clock: HandClock
    ) -> None:
        limiter, slow, next_ = anyio.CapacityLimiter(1), Work(slow_cleanup=True), Work()
        async with Coalescer[int, str](limiter=limiter, flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                expired = await start(tasks, coalescer, 1, slow)
                clock.advance(5)
                await settle()
                assert isinstance(expired.outcome, FlightTimeoutError)
                second = await start(tasks, coalescer, 1, next_, "next")
                assert states(coalescer) == [FlightState.STARTING]
                assert (limiter.borrowed_tokens, next_.running) == (1, 0)
                slow.cleaned_up.set()
                next_.go.set()
            assert second.value == "next"
        assert limiter.borrowed_tokens == 0
        assert_idle(coalescer)

    async def test_with_flight_timeout_a_flight_that_was_left_without_a_token_has_no_deadline(
        self, clock: HandClock
    ) -> None:
        limiter, work = anyio.CapacityLimiter(1), Work()
        async with Coalescer[int, str](limiter=limiter, flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks, limiter:
                (await start(tasks, coalescer, 1, work)).cancel()
                await settle()
                assert coalescer.flights() == ()
        # Closing did not wait for the deadline.
        assert (clock.now, clock.alarms) == (0, [])
        assert coalescer.statistics().cancelled == 1
        assert_idle(coalescer)

    async def test_with_max_join_age_detached_flights_keep_their_tokens(
        self, clock: HandClock
    ) -> None:
        limiter, work = anyio.CapacityLimiter(2), Work()
        async with Coalescer[int, int](limiter=limiter, max_join_age=1) as coalescer:
            async with anyio.create_task_group() as tasks:
                callers = []
                for number in range(5):
                    callers.append(await start(tasks, coalescer, 1, work, number))
                    clock.advance(2)
                # Two run, and were detached; the third waits for a token, so it has no age.
                assert states(coalescer)[0] is FlightState.STARTING
                assert waiters(coalescer)[0] == 3
                assert work.running == 2
                work.go.set()
            assert [caller.value for caller in callers] == [0, 1, 2, 2, 2]
        assert limiter.borrowed_tokens == 0
        assert_idle(coalescer)

    async def test_with_forget_both_flights_wait_for_tokens(self) -> None:
        limiter, work = anyio.CapacityLimiter(1), Work()
        work.go.set()
        async with Coalescer[int, int](limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                async with limiter:
                    old = await start(tasks, coalescer, 1, work, 1)
                    assert coalescer.forget(1)
                    new = await start(tasks, coalescer, 1, work, 2)
                    assert limiter.statistics().tasks_waiting == 2
                    old.cancel()
                    await settle()
                    assert limiter.statistics().tasks_waiting == 1
            assert (old.outcome, new.value) == (CANCELLED, 2)
        assert work.calls == [(2,)]
        assert_idle(coalescer)

    async def test_with_on_abandon_the_clean_up_keeps_the_token(self) -> None:
        limiter, slow, other = anyio.CapacityLimiter(1), Work(slow_cleanup=True), Work()
        other.go.set()
        async with Coalescer[int, int](limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                (await start(tasks, coalescer, 1, slow)).cancel()
                caller = await start(tasks, coalescer, 2, other, 2)
                assert other.calls == []
                slow.cleaned_up.set()
            assert caller.value == 2
        assert limiter.borrowed_tokens == 0

    async def test_with_a_timeout_who_waits_for_a_token_leaves_and_falls_back_without_one(
        self, clock: HandClock
    ) -> None:
        limiter, work = anyio.CapacityLimiter(1), Work()
        async with Coalescer[int, str](limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                async with limiter:
                    caller = await start(
                        tasks, coalescer, 1, work, "k", timeout=3, fallback=fall_back
                    )
                    clock.advance(3)
                    await settle()
                    assert caller.value == "fallback for k"
                    assert limiter.statistics().tasks_waiting == 0
        assert work.calls == []
        assert_idle(coalescer)


class TestMaxWaiters:
    async def test_with_flight_timeout_there_is_room_at_the_deadline(
        self, clock: HandClock
    ) -> None:
        slow, quick = Work(slow_cleanup=True), Work()
        quick.go.set()
        async with Coalescer[int, str](max_waiters=2, flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start_many(2, tasks, coalescer, 1, slow)
                with pytest.raises(TooManyWaitersError):
                    await coalescer.execute(1, quick, "early")
                clock.advance(5)
                await settle()
                assert slow.running == 1
                assert await coalescer.execute(1, quick, "in time") == "in time"
                slow.cleaned_up.set()
        assert_idle(coalescer)

    async def test_with_max_join_age_there_is_room_beside_a_flight_that_is_too_old(
        self, clock: HandClock
    ) -> None:
        old, new = Work(), Work()
        async with Coalescer[int, str](max_waiters=2, max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start_many(2, tasks, coalescer, 1, old, "old")
                with pytest.raises(TooManyWaitersError):
                    await coalescer.execute(1, new, "early")
                clock.advance(3)
                late = await start_many(2, tasks, coalescer, 1, new, "new")
                with pytest.raises(TooManyWaitersError):
                    await coalescer.execute(1, new, "too many")
                old.go.set()
                new.go.set()
            assert [caller.value for caller in late] == ["new"] * 2
        assert_idle(coalescer)

    async def test_with_max_join_age_a_call_may_let_the_queue_take_off_and_find_it_full(
        self, clock: HandClock
    ) -> None:
        old, queued = Work(), Work()
        async with Coalescer[int, str](max_waiters=2, max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, old, "old")
                fresh = await start_many(2, tasks, coalescer, 1, queued, "new", fresh=True)
                clock.advance(3)
                with pytest.raises(TooManyWaitersError):
                    await coalescer.execute(1, queued, "too many")
                await settle()
                assert (old.running, queued.running) == (1, 1)
                old.go.set()
                queued.go.set()
            assert [caller.value for caller in fresh] == ["new"] * 2
        assert coalescer.statistics().refused == 1
        assert_idle(coalescer)

    async def test_with_fresh_the_running_and_the_queued_flight_have_room_each(self) -> None:
        work = Work()
        async with Coalescer[int, int](max_waiters=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                for fresh in (False, True):
                    await start_many(2, tasks, coalescer, 1, work, 1, fresh=fresh)
                    with pytest.raises(TooManyWaitersError):
                        await coalescer.execute(1, work, 1, fresh=fresh)
                assert waiters(coalescer) == [2, 2]
                work.go.set()
        assert coalescer.statistics().refused == 2
        assert_idle(coalescer)

    async def test_with_forget_the_next_flight_has_all_its_room(self) -> None:
        work = Work()
        async with Coalescer[int, int](max_waiters=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start_many(2, tasks, coalescer, 1, work, 1)
                assert coalescer.forget(1)
                await start_many(2, tasks, coalescer, 1, work, 1)
                assert waiters(coalescer) == [2, 2]
                work.go.set()
        assert coalescer.statistics().refused == 0

    @pytest.mark.parametrize("on_abandon", ["cancel", "finish"])
    async def test_with_on_abandon_the_flight_that_follows_or_is_joined_has_the_same_bound(
        self, on_abandon: Any
    ) -> None:
        work = Work(slow_cleanup=True)
        async with Coalescer[int, int](max_waiters=2, on_abandon=on_abandon) as coalescer:
            async with anyio.create_task_group() as tasks:
                for caller in await start_many(2, tasks, coalescer, 1, work, 1):
                    caller.cancel()
                await settle()
                await start_many(2, tasks, coalescer, 1, work, 2)
                with pytest.raises(TooManyWaitersError):
                    await coalescer.execute(1, work, 3)
                assert waiters(coalescer) == ([0, 2] if on_abandon == "cancel" else [2])
                work.go.set()
                work.cleaned_up.set()
        assert_idle(coalescer)

    async def test_with_a_fallback_a_refused_call_gets_its_error_and_no_fallback(self) -> None:
        work = Work()
        async with Coalescer[int, str](max_waiters=1) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, work, "v")
                with pytest.raises(TooManyWaitersError):
                    await coalescer.execute(1, work, "v", timeout=60, fallback=fall_back)
                work.go.set()

    async def test_with_a_timeout_who_gives_up_makes_room(self, clock: HandClock) -> None:
        work = Work()
        async with Coalescer[int, int](max_waiters=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, work, 1)
                impatient = await start(tasks, coalescer, 1, work, 1, timeout=3)
                clock.advance(3)
                await settle()
                assert isinstance(impatient.outcome, TimeoutError)
                late = await start(tasks, coalescer, 1, work, 1)
                work.go.set()
            assert late.value == 1


class TestFlightTimeout:
    async def test_with_max_join_age_a_detached_flight_keeps_its_deadline(
        self, clock: HandClock
    ) -> None:
        work = Work()
        async with Coalescer[int, int](flight_timeout=5, max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                old = await start(tasks, coalescer, 1, work, 1)
                clock.advance(3)
                new = await start(tasks, coalescer, 1, work, 2)
                clock.advance(2)
                await settle()
                assert isinstance(old.outcome, FlightTimeoutError)
                assert new.outcome is PENDING
                assert clock.alarms == [8]
                work.go.set()
            assert new.value == 2
        assert (work.cancelled, coalescer.statistics().timed_out) == (1, 1)
        assert_idle(coalescer)

    async def test_with_forget_the_forgotten_flight_keeps_its_deadline(
        self, clock: HandClock
    ) -> None:
        work = Work()
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, work)
                assert coalescer.forget(1)
                clock.advance(5)
            assert isinstance(caller.outcome, FlightTimeoutError)
        assert work.cancelled == 1
        assert_idle(coalescer)

    async def test_with_on_abandon_a_clean_up_holds_the_key_till_the_deadline_and_no_longer(
        self, clock: HandClock
    ) -> None:
        slow, next_ = Work(slow_cleanup=True), Work()
        async with Coalescer[int, str](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                (await start(tasks, coalescer, 1, slow)).cancel()
                await settle()
                clock.advance(4)
                late = await start(tasks, coalescer, 1, next_, "next")
                assert states(coalescer) == [FlightState.ABANDONED, FlightState.QUEUED]
                clock.advance(1)
                await settle()
                assert (slow.running, next_.running) == (1, 1)
                slow.cleaned_up.set()
                next_.go.set()
            assert late.value == "next"
        now = coalescer.statistics()
        assert (now.timed_out, now.cancelled, now.succeeded) == (1, 0, 1)
        assert_idle(coalescer)

    async def test_with_finish_an_abandoned_flight_ends_at_its_deadline(
        self, clock: HandClock
    ) -> None:
        work = Work()
        async with Coalescer[int, int](flight_timeout=5, on_abandon="finish") as coalescer:
            async with anyio.create_task_group() as tasks:
                (await start(tasks, coalescer, 1, work)).cancel()
                await settle()
                clock.advance(4)
                late = await start(tasks, coalescer, 1, work)
                clock.advance(1)
            assert isinstance(late.outcome, FlightTimeoutError)
        assert (len(work.calls), work.cancelled) == (1, 1)
        assert_idle(coalescer)

    @pytest.mark.parametrize("own", [3, 7])
    async def test_with_a_timeout_the_time_that_is_over_first_decides(
        self, own: float, clock: HandClock
    ) -> None:
        work = Work()
        async with Coalescer[str, str](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                options: dict[str, Any] = {"timeout": own, "fallback": fall_back}
                caller = await start(tasks, coalescer, "k", work, "k", **options)
                clock.advance(min(own, 5))
            if own < 5:
                assert caller.value == "fallback for k"
            else:  # the flight's end is an outcome like others: it needs no fallback
                assert isinstance(caller.outcome, FlightTimeoutError)
        now = coalescer.statistics()
        assert (now.cancelled, now.timed_out) == ((1, 0) if own < 5 else (0, 1))
        assert_idle(coalescer)


class TestMaxJoinAge:
    async def test_with_forget_each_detaches_what_holds_the_key(self, clock: HandClock) -> None:
        work = Work()
        async with Coalescer[int, int](max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                callers = [await start(tasks, coalescer, 1, work, 1)]
                clock.advance(3)
                assert coalescer.forget(1)
                assert not coalescer.forget(1)
                callers.append(await start(tasks, coalescer, 1, work, 2))
                clock.advance(3)
                callers.append(await start(tasks, coalescer, 1, work, 3))
                assert coalescer.forget(1)
                callers.append(await start(tasks, coalescer, 1, work, 4))
                assert (work.running, len(coalescer.flights())) == (4, 4)
                work.go.set()
            assert [caller.value for caller in callers] == [1, 2, 3, 4]
        assert_idle(coalescer)

    async def test_with_the_owners_end_detached_flights_are_cancelled_too(
        self, clock: HandClock
    ) -> None:
        work = Work()
        async with anyio.create_task_group() as tasks:
            with pytest.raises(KeyError):
                async with Coalescer[int, int](max_join_age=2) as coalescer:
                    callers = []
                    for number in range(3):
                        callers.append(await start(tasks, coalescer, 1, work, number))
                        clock.advance(3)
                    raise KeyError
        assert {type(caller.outcome) for caller in callers} == {FlightCancelledError}
        assert work.cancelled == 3
        assert_idle(coalescer)


class TestCalls:
    """What a call asks for, and how the block is left."""

    async def test_fresh_behind_an_abandoned_flight_that_finishes_waits_for_its_end(self) -> None:
        old, new = Work(), Work()
        new.go.set()
        async with Coalescer[int, str](on_abandon="finish") as coalescer:
            async with anyio.create_task_group() as tasks:
                (await start(tasks, coalescer, 1, old, "old")).cancel()
                await settle()
                fresh = await start(tasks, coalescer, 1, new, "new", fresh=True)
                joined = await start(tasks, coalescer, 1, new, "none")
                assert states(coalescer) == [FlightState.RUNNING, FlightState.QUEUED]
                old.go.set()
            assert (fresh.value, joined.value) == ("new", "old")

    async def test_a_forgotten_flight_that_finishes_when_abandoned_is_joined_no_more(self) -> None:
        old, new = Work(), Work()
        async with Coalescer[int, str](on_abandon="finish") as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, old, "old")
                assert coalescer.forget(1)
                caller.cancel()
                await settle()
                late = await start(tasks, coalescer, 1, new, "new")
                assert (old.running, new.running) == (1, 1)
                old.go.set()
                new.go.set()
            assert late.value == "new"
        assert coalescer.statistics().succeeded == 2

    @pytest.mark.parametrize("on_abandon", ["cancel", "finish"])
    async def test_with_copy_all_get_copies_if_the_starter_has_left(self, on_abandon: Any) -> None:
        async def make() -> list[int]:
            await go.wait()
            made.append([1])
            return made[-1]

        go, made = anyio.Event(), []
        async with Coalescer[int, list[int]](copy=list, on_abandon=on_abandon) as coalescer:
            async with anyio.create_task_group() as tasks:
                starter, *joined = await start_many(3, tasks, coalescer, 1, make)
                starter.cancel()
                await settle()
                go.set()
        values = [caller.value for caller in joined]
        assert values == [[1]] * 2
        assert len({id(value) for value in [*values, *made]}) == 3

    async def test_with_copy_what_a_fallback_returns_is_left_as_it_is(
        self, clock: HandClock
    ) -> None:
        async def alone() -> list[int]:
            return mine

        mine, work = [1], Work()
        async with Coalescer[int, Any](copy=list) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, work, [2])
                caller = await start(tasks, coalescer, 1, work, timeout=3, fallback=alone)
                clock.advance(3)
                await settle()
                assert caller.value is mine
                work.go.set()

    async def test_forget_while_closing_lets_the_queued_flight_take_off(self) -> None:
        old, new, leave = Work(), Work(), anyio.Event()
        coalescer = Coalescer[int, str]()

        async def own() -> None:
            async with coalescer:
                await leave.wait()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(own)
            await settle()
            first = await start(tasks, coalescer, 1, old, "old")
            queued = await start(tasks, coalescer, 1, new, "new", fresh=True)
            leave.set()
            await settle()
            assert coalescer.forget(1)
            await settle()
            assert (old.running, new.running) == (1, 1)
            new.go.set()
            await settle()
            assert queued.value == "new"
            old.go.set()
        assert first.value == "old"
        assert_idle(coalescer)

    async def test_with_finish_closing_lets_abandoned_flights_end(self) -> None:
        work, leave = Work(), anyio.Event()
        coalescer = Coalescer[int, str](on_abandon="finish")

        async def own() -> None:
            async with coalescer:
                await leave.wait()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(own)
            await settle()
            (await start(tasks, coalescer, 1, work, "v")).cancel()
            leave.set()
            await settle()
            assert work.running == 1
            work.go.set()
        assert (work.cancelled, coalescer.statistics().succeeded) == (0, 1)
        assert_idle(coalescer)

    async def test_a_timeout_holds_while_the_coalescer_closes(self, clock: HandClock) -> None:
        work, leave, ended = Work(), anyio.Event(), Caller()
        coalescer = Coalescer[int, str]()

        async def own() -> None:
            async with coalescer:
                await leave.wait()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ended.run, "scope", own)
            await settle()
            caller = await start(tasks, coalescer, 1, work, "k", timeout=3, fallback=fall_back)
            leave.set()
            await settle()
            with pytest.raises(anyio.ClosedResourceError):  # and no fallback
                await coalescer.execute(1, work, "k", timeout=3, fallback=fall_back)
            assert ended.outcome is PENDING
            clock.advance(3)
        assert caller.value == "fallback for k"
        assert work.cancelled == 1
        assert_idle(coalescer)

    async def test_a_fallback_is_not_for_the_owners_end(self) -> None:
        async with anyio.create_task_group() as tasks:
            with pytest.raises(KeyError):
                async with Coalescer[int, str]() as coalescer:
                    caller = await start(
                        tasks, coalescer, 1, Work(), "k", timeout=60, fallback=fall_back
                    )
                    raise KeyError
        assert isinstance(caller.outcome, FlightCancelledError)


class TestThreeAtOnce:
    async def test_a_second_attempt_waits_for_the_token_of_work_that_ignored_its_deadline(
        self, clock: HandClock
    ) -> None:
        """`retry_on`, `flight_timeout` and `limiter`: it costs two deadlines, and no execution."""
        limiter, slow, second = anyio.CapacityLimiter(1), Work(slow_cleanup=True), Work()
        policies: dict[str, Any] = {"retry_on": TimeoutError, "flight_timeout": 5}
        async with Coalescer[int, str](limiter=limiter, **policies) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, slow)
                joined = await start_many(2, tasks, coalescer, 1, second)
                clock.advance(5)
                await settle()
                assert (limiter.borrowed_tokens, waiters(coalescer)) == (1, [2])
                clock.advance(5)
                await settle()
                assert {type(caller.outcome) for caller in joined} == {FlightTimeoutError}
                assert "waiting for a token" in str(joined[0].outcome)
                slow.cleaned_up.set()
        assert second.calls == []
        assert limiter.borrowed_tokens == 0
        assert_idle(coalescer)

    async def test_under_all_policies_at_once_every_bound_holds(self, clock: HandClock) -> None:
        limiter, work = anyio.CapacityLimiter(3), Work(slow_cleanup=True)
        async with Coalescer[int, int](
            retry_on=TimeoutError,
            limiter=limiter,
            max_waiters=4,
            flight_timeout=10,
            max_join_age=3,
        ) as coalescer:
            async with anyio.create_task_group() as tasks:
                callers: list[Caller] = []
                for second in range(30):
                    for key in range(3):
                        callers += await start_many(2, tasks, coalescer, key, work, second)
                    clock.advance(1)
                    await settle()
                    assert max(waiters(coalescer)) <= 4
                    assert work.running <= limiter.borrowed_tokens <= 3
                work.cleaned_up.set()
                work.go.set()
            now = coalescer.statistics()
            assert now.calls == len(callers) == 180
            assert min(now.timed_out, now.refused, now.retried, now.joined) > 0
        assert limiter.borrowed_tokens == limiter.statistics().tasks_waiting == 0
        assert_idle(coalescer)
