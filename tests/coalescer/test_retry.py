"""Law 7: calls that joined a flight which failed with an error of `retry_on` fly once more."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from anyflight import Coalescer, FlightCancelledError, FlightTimeoutError
from anyflight._leaders import Leaders
from tests.support import (
    CANCELLED,
    PENDING,
    WAYS,
    Caller,
    HandClock,
    Work,
    assert_idle,
    caught_cancellation,
    settle,
    start,
    start_many,
)

pytestmark = pytest.mark.anyio
REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


class Attempts:
    """An async function whose executions end one after the other, each in the way that is given."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = outcomes
        self.calls: list[tuple[Any, ...]] = []
        self._gates = [anyio.Event() for _ in outcomes]
        self._next: Iterator[anyio.Event] = iter(self._gates)

    async def __call__(self, *args: Any) -> Any:
        number = len(self.calls)
        self.calls.append(args)
        await self._gates[number].wait()
        if isinstance(self.outcomes[number], BaseException):
            raise self.outcomes[number]
        return self.outcomes[number]

    async def end_next(self) -> None:
        next(self._next).set()
        await settle()


async def start_named(tasks: Any, coalescer: Any, work: Any, names: str, **options: Any) -> Any:
    """Start a call for each letter, with the letter as its argument."""
    return [await start(tasks, coalescer, "k", work, name, **options) for name in names]


async def test_law_7_calls_that_joined_fly_once_more_and_the_starter_gets_its_own_error() -> None:
    work = Attempts(ValueError("first"), "second")
    async with (
        Coalescer[str, Any](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        starter, *joined = await start_named(tasks, coalescer, work, "abcd")
        await work.end_next()
        assert repr(starter.outcome) == "ValueError('first')"
        assert [info.waiters for info in coalescer.flights()] == [3]
        await work.end_next()
    assert [caller.value for caller in joined] == ["second"] * 3
    now = coalescer.statistics()
    assert (now.calls, now.flights, now.joined, now.retried) == (4, 2, 3 + 2, 3)
    assert (now.failed, now.succeeded) == (1, 1)
    assert_idle(coalescer)


async def test_law_7_one_of_those_who_joined_becomes_the_starter_with_its_own_arguments() -> None:
    """Which of them is up to the back end: the first that wakes."""
    work = Attempts(ValueError(), "second")
    async with (
        Coalescer[str, Any](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        await start_named(tasks, coalescer, work, "abcd")
        await work.end_next()
        await work.end_next()
    assert work.calls[0] == ("a",)
    assert work.calls[1] in {("b",), ("c",), ("d",)}


async def test_law_7_two_hundred_waiters_of_a_failing_key_cost_two_executions() -> None:
    work = Work(fail=ValueError("down"))
    async with Coalescer[int, Any](retry_on=ValueError) as coalescer:
        async with anyio.create_task_group() as tasks:
            callers = await start_many(200, tasks, coalescer, 1, work)
            work.go.set()  # the second execution fails without a pause
        assert {repr(caller.outcome) for caller in callers} == {"ValueError('down')"}
        assert len({id(caller.outcome) for caller in callers}) == 200
    assert len(work.calls) == 2
    assert_idle(coalescer)


async def test_law_7_two_executions_are_all_also_when_no_leader_is_parked_for_the_second(
    clock: HandClock,
) -> None:
    async def second() -> None:
        calls.append(1)
        raise TimeoutError("of the second")

    calls: list[int] = []
    async with (
        Coalescer[int, Any](retry_on=TimeoutError, flight_timeout=5) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        starter = await start(tasks, coalescer, 1, Work())
        joined = await start_many(20, tasks, coalescer, 1, second)
        clock.advance(5)
    assert isinstance(starter.outcome, FlightTimeoutError)
    assert {str(caller.outcome) for caller in joined} == {"of the second"}
    assert len(calls) == 1


async def test_law_7_the_second_outcome_is_final_also_if_it_matches() -> None:
    work = Attempts(ValueError("first"), ValueError("second"), "third")
    async with (
        Coalescer[str, Any](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        starter, *joined = await start_named(tasks, coalescer, work, "abc")
        await work.end_next()
        await work.end_next()
    assert str(starter.outcome) == "first"
    assert [str(caller.outcome) for caller in joined] == ["second"] * 2
    assert len(work.calls) == 2
    assert_idle(coalescer)


@pytest.mark.parametrize(
    ("retry_on", "error", "executions"),
    [
        ((), ValueError(), 1),
        (KeyError, ValueError(), 1),
        (LookupError, KeyError(), 2),
        ((OSError, ValueError), ValueError(), 2),
        (Exception, ValueError(), 2),
        # As an `except` clause would: not for what is in a group.
        (ValueError, ExceptionGroup("several", [ValueError()]), 1),
    ],
)
async def test_law_7_what_matches_is_what_an_except_clause_would_catch(
    retry_on: Any, error: Exception, executions: int
) -> None:
    work = Work(fail=error)
    async with Coalescer[int, Any](retry_on=retry_on) as coalescer:
        async with anyio.create_task_group() as tasks:
            callers = await start_many(3, tasks, coalescer, 1, work)
            work.go.set()
        assert {type(caller.outcome) for caller in callers} == {type(error)}
    assert len(work.calls) == executions
    assert coalescer.statistics().retried == (2 if executions == 2 else 0)


async def test_law_7_a_new_call_joins_the_second_flight_and_is_none_that_flew_before() -> None:
    work = Attempts(ValueError(), ValueError("second"), "third")
    async with (
        Coalescer[str, Any](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        _, joined = await start_named(tasks, coalescer, work, "ab")
        await work.end_next()
        new = await start(tasks, coalescer, "k", work, "new")
        await work.end_next()
        assert str(joined.outcome) == "second"
        await work.end_next()  # the new call has joined the second only: it flies once more too
    assert new.value == "third"
    assert work.calls == [("a",), ("b",), ("new",)]
    now = coalescer.statistics()
    assert (now.calls, now.flights, now.joined, now.retried) == (3, 3, 2, 2)
    assert_idle(coalescer)


async def test_law_7_the_second_flight_runs_in_the_context_of_its_own_starter() -> None:
    async def fail() -> str:
        await go.wait()
        raise ValueError

    async def read() -> str:
        return REQUEST.get()

    async def call() -> str:
        REQUEST.set("of the one that joined")
        return await coalescer.execute("k", read)

    go, joined = anyio.Event(), Caller()
    async with (
        Coalescer[str, str](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, coalescer, "k", fail)
        tasks.start_soon(joined.run, "scope", call)
        await settle()
        go.set()
    assert joined.value == "of the one that joined"


async def test_law_7_if_the_starter_has_left_all_others_fly_once_more() -> None:
    work = Attempts(ValueError(), "second")
    async with (
        Coalescer[str, Any](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        starter, *joined = await start_named(tasks, coalescer, work, "abc")
        starter.cancel()
        await settle()
        await work.end_next()
        await work.end_next()
    assert [caller.value for caller in joined] == ["second"] * 2


@pytest.mark.parametrize("way", WAYS)
async def test_law_2_whoever_leaves_the_second_flight_harms_nobody_else(way: str) -> None:
    work = Attempts(ValueError(), "second")
    async with (
        Coalescer[str, Any](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        _, *joined = await start_named(tasks, coalescer, work, "abcd", way=way)
        await work.end_next()
        joined[0].cancel()
        joined[2].cancel()
        await settle()
        assert [info.waiters for info in coalescer.flights()] == [1]
        await work.end_next()
    assert [caller.outcome for caller in joined] == [CANCELLED, "second", CANCELLED]
    assert_idle(coalescer)


@pytest.mark.parametrize("way", WAYS)
async def test_law_3_the_second_flight_is_cancelled_when_its_last_waiter_leaves(way: str) -> None:
    first, second = Work(fail=ValueError()), Work()
    async with (
        Coalescer[str, Any](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, coalescer, "k", first)
        joined = await start_many(2, tasks, coalescer, "k", second, way=way)
        first.go.set()
        await settle()
        for caller in joined:
            caller.cancel()
        await settle()
        assert second.cancelled == 1
        assert coalescer.flights() == ()
    assert [caller.outcome for caller in joined] == [CANCELLED] * 2
    assert_idle(coalescer)


@pytest.mark.parametrize("way", WAYS)
async def test_law_9_the_failure_and_a_cancellation_in_the_same_tick(way: str) -> None:
    work = Attempts(ValueError(), "second")
    async with (
        Coalescer[str, Any](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        _, first, second = await start_named(tasks, coalescer, work, "abc", way=way)
        next(work._next).set()
        first.cancel()
        await settle()
        await work.end_next()
    assert first.outcome is CANCELLED
    assert second.value == "second"
    assert len(work.calls) == 2
    assert_idle(coalescer)


async def test_law_7_the_timeout_of_a_call_is_for_both_of_its_attempts(clock: HandClock) -> None:
    async def fall_back(name: str) -> str:
        return f"fallback for {name}"

    first, second = Work(fail=ValueError()), Work()
    async with (
        Coalescer[str, Any](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, coalescer, "k", first, "a")
        joined = await start(tasks, coalescer, "k", second, "b", timeout=3, fallback=fall_back)
        clock.advance(2)
        first.go.set()
        await settle()
        assert (joined.outcome, second.running) == (PENDING, 1)
        clock.advance(1)
    assert joined.value == "fallback for b"
    assert second.cancelled == len(second.calls) == 1
    assert_idle(coalescer)


class TestWhatFliesHereAndNow:
    """The second attempt finds its flight as every call does."""

    async def test_law_5_calls_that_failed_join_the_flight_that_was_queued_behind(self) -> None:
        first, second = Work(fail=ValueError()), Work()
        async with (
            Coalescer[str, Any](retry_on=ValueError) as coalescer,
            anyio.create_task_group() as tasks,
        ):
            _, joined = await start_many(2, tasks, coalescer, "k", first, "old")
            fresh = await start(tasks, coalescer, "k", second, "new", fresh=True)
            first.go.set()
            await settle()
            assert [info.waiters for info in coalescer.flights()] == [2]
            second.go.set()
        assert (joined.value, fresh.value) == ("new", "new")
        assert coalescer.statistics().flights == 2
        assert_idle(coalescer)

    async def test_law_5_a_fresh_call_that_flies_once_more_joins_none_that_has_begun(self) -> None:
        detached, running, third = Work(fail=ValueError()), Work(), Work()
        async with (
            Coalescer[str, Any](retry_on=ValueError) as coalescer,
            anyio.create_task_group() as tasks,
        ):
            _, usual = await start_many(2, tasks, coalescer, "k", detached, "old")
            gate = anyio.Event()

            async def hold() -> None:
                await gate.wait()

            # A fresh call joins a flight that has not begun: one that is queued.
            await start(tasks, coalescer, "other", hold)
            await start(tasks, coalescer, "other", detached, "x", fresh=True)
            fresh = await start(tasks, coalescer, "other", third, "fresh", fresh=True)
            gate.set()
            await settle()
            assert coalescer.forget("other")
            begun = await start(tasks, coalescer, "other", running, "begun")
            detached.go.set()
            await settle()
            states = [str(info.state) for info in coalescer.flights() if info.key == "other"]
            assert states == ["running", "queued"]
            running.go.set()
            third.go.set()
        assert (begun.value, fresh.value) == ("begun", "fresh")
        assert isinstance(usual.outcome, ValueError)  # its second attempt has failed as well
        assert_idle(coalescer)

    async def test_a_call_that_failed_in_a_forgotten_flight_joins_the_one_of_now(self) -> None:
        old, new = Work(fail=ValueError()), Work()
        async with (
            Coalescer[str, Any](retry_on=ValueError) as coalescer,
            anyio.create_task_group() as tasks,
        ):
            _, joined = await start_many(2, tasks, coalescer, "k", old)
            assert coalescer.forget("k")
            current = await start(tasks, coalescer, "k", new, "new")
            old.go.set()
            await settle()
            assert joined.outcome is PENDING
            new.go.set()
        assert (joined.value, current.value) == ("new", "new")
        assert len(new.calls) == 1


class TestTheErrorsOfTheCoalescerItself:
    async def test_law_12_a_flight_timeout_can_match(self, clock: HandClock) -> None:
        slow, quick = Work(), Work()
        async with (
            Coalescer[str, Any](retry_on=FlightTimeoutError, flight_timeout=5) as coalescer,
            anyio.create_task_group() as tasks,
        ):
            starter = await start(tasks, coalescer, "k", slow)
            joined = await start_many(3, tasks, coalescer, "k", quick, "in time")
            clock.advance(5)
            await settle()
            quick.go.set()
        assert isinstance(starter.outcome, FlightTimeoutError)
        assert [caller.value for caller in joined] == ["in time"] * 3
        assert len(quick.calls) == 1
        assert_idle(coalescer)

    async def test_law_9_a_stray_cancellation_can_match(self) -> None:
        async def cancelled() -> None:
            await go.wait()
            raise await caught_cancellation()

        go, second = anyio.Event(), Work()
        second.go.set()
        async with (
            Coalescer[str, Any](retry_on=FlightCancelledError) as coalescer,
            anyio.create_task_group() as tasks,
        ):
            starter = await start(tasks, coalescer, "k", cancelled)
            joined = await start_many(3, tasks, coalescer, "k", second, "done")
            go.set()
        assert isinstance(starter.outcome, FlightCancelledError)
        assert [caller.value for caller in joined] == ["done"] * 3

    @pytest.mark.parametrize("how", ["left", "error", "cancelled"])
    async def test_law_10_while_the_coalescer_closes_the_first_error_stands(self, how: str) -> None:
        work, leave, outcome = Work(fail=ValueError()), anyio.Event(), Caller()
        coalescer = Coalescer[str, Any](retry_on=Exception)

        async def own() -> None:
            async with coalescer:
                await leave.wait()
                if how == "error":
                    raise KeyError

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outcome.run, "scope", own)
            await settle()
            callers = await start_many(3, tasks, coalescer, "k", work)
            if how == "cancelled":
                outcome.cancel()
            leave.set()
            await settle()
            work.go.set()
        expected = ValueError if how == "left" else FlightCancelledError
        assert {type(caller.outcome) for caller in callers} == {expected}
        assert len(work.calls) == 1
        assert coalescer.statistics().retried == 0
        assert_idle(coalescer)


async def test_law_7_with_max_waiters_the_first_error_stands_for_those_that_find_no_room() -> None:
    """Nobody is told of it but by the counters: such a call has an error already, its own."""
    old, new = Work(fail=ValueError("first")), Work()
    async with (
        Coalescer[str, Any](retry_on=ValueError, max_waiters=3) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        starter, *joined = await start_many(3, tasks, coalescer, "k", old)
        assert coalescer.forget("k")
        others = await start_many(2, tasks, coalescer, "k", new, "new")
        old.go.set()
        await settle()
        assert [info.waiters for info in coalescer.flights()] == [3]
        new.go.set()
    assert sorted(str(caller.outcome) for caller in joined) == ["first", "new"]
    assert str(starter.outcome) == "first"
    assert [caller.value for caller in others] == ["new"] * 2
    now = coalescer.statistics()
    assert (now.calls, now.flights, now.joined) == (5, 2, 2 + 1 + 1)
    assert (now.retried, now.refused) == (2, 1)
    assert_idle(coalescer)


async def test_law_16_the_first_failure_is_gone_while_the_second_flight_runs() -> None:
    class Odd(Exception):
        """What is no built-in can be referred to weakly."""

    async def fail() -> None:
        await go.wait()
        error = Odd()
        refs.append(weakref.ref(error))
        raise error

    go, second = anyio.Event(), Work()
    refs: list[weakref.ref[Odd]] = []
    async with (
        Coalescer[str, Any](retry_on=Odd) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        starter = await start(tasks, coalescer, "k", fail)
        joined = await start_many(2, tasks, coalescer, "k", second, "done")
        go.set()
        await settle()
        assert isinstance(starter.outcome, Odd)
        starter.outcome = None
        gc.collect()
        assert [ref() for ref in refs] == [None]
        second.go.set()
    assert [caller.value for caller in joined] == ["done"] * 2


@pytest.mark.parametrize("way", ["scope", "native"])
async def test_law_15_a_call_that_is_cancelled_when_woken_makes_no_second_attempt(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def land(leaders: Any, flight: Any, outcome: Any) -> None:
        land_alone(leaders, flight, outcome)
        joiner.cancel()

    work, land_alone = Work(fail=ValueError("no")), Leaders._land
    async with (
        Coalescer[int, Any](retry_on=ValueError) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        starter = await start(tasks, coalescer, 1, work)
        joiner = await start(tasks, coalescer, 1, work, way=way)
        monkeypatch.setattr(Leaders, "_land", land)
        work.go.set()
        await settle()
        assert isinstance(starter.outcome, ValueError)
        assert joiner.outcome is CANCELLED
    assert len(work.calls) == coalescer.statistics().flights == 1
