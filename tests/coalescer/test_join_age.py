"""Law 13: a call joins no flight that is older than `max_join_age`."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyflight import Coalescer, FlightState
from tests.support import (
    ASYNCIO_BACKENDS,
    CANCELLED,
    TRIO_BACKEND,
    HandClock,
    Work,
    assert_idle,
    settle,
    start,
    start_many,
    timed,
)


def states(coalescer: Coalescer[Any, Any]) -> list[FlightState]:
    return [info.state for info in coalescer.flights()]


class TestOneCall:
    pytestmark = pytest.mark.anyio

    async def test_law_13_a_call_starts_a_flight_beside_one_that_is_too_old(
        self, clock: HandClock
    ) -> None:
        old, new = Work(), Work()
        async with Coalescer[int, str](max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                first = await start(tasks, coalescer, 1, old, "old")
                clock.advance(2)  # not older than two seconds
                joined = await start(tasks, coalescer, 1, new, "old")
                clock.advance(0.1)
                second = await start(tasks, coalescer, 1, new, "new")
                assert states(coalescer) == [FlightState.RUNNING, FlightState.DETACHED]
                third = await start(tasks, coalescer, 1, new, "new")
                assert (old.running, new.running) == (1, 1)
                old.go.set()
                new.go.set()
            assert [caller.value for caller in (first, joined, second, third)] == [
                "old",
                "old",
                "new",
                "new",
            ]
        now = coalescer.statistics()
        assert (now.flights, now.joined) == (2, 2)
        assert_idle(coalescer)

    async def test_law_13_only_a_call_detaches_a_flight_not_the_time_alone(
        self, clock: HandClock
    ) -> None:
        work = Work()
        async with Coalescer[int, int](max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, work, 1)
                clock.advance(9)
                await start(tasks, coalescer, 2, work, 2)
                assert states(coalescer) == [FlightState.RUNNING] * 2
                work.go.set()
            assert caller.value == 1

    async def test_law_6_the_old_flights_landing_leaves_the_new_one_alone(
        self, clock: HandClock
    ) -> None:
        old, new = Work(), Work()
        async with Coalescer[int, str](max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, old, "old")
                clock.advance(3)
                second = await start(tasks, coalescer, 1, new, "new")
                old.go.set()
                await settle()
                third = await start(tasks, coalescer, 1, old, "none")
                assert len(old.calls) == 1
                new.go.set()
            assert (second.value, third.value) == ("new", "new")

    async def test_law_3_the_old_flight_is_cancelled_when_its_own_waiters_have_left(
        self, clock: HandClock
    ) -> None:
        old, new = Work(), Work()
        async with Coalescer[int, str](max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                first = await start(tasks, coalescer, 1, old, "old")
                clock.advance(3)
                second = await start(tasks, coalescer, 1, new, "new")
                first.cancel()
                await settle()
                assert (old.cancelled, new.running) == (1, 1)
                new.go.set()
            assert (first.outcome, second.value) == (CANCELLED, "new")
        assert_idle(coalescer)

    async def test_law_13_the_age_counts_from_the_call_of_the_function(
        self, clock: HandClock
    ) -> None:
        limiter, work = anyio.CapacityLimiter(1), Work()
        async with Coalescer[int, str](max_join_age=2, limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                async with limiter:
                    callers = [await start(tasks, coalescer, 1, work, "v")]
                    clock.advance(9)
                    callers.append(await start(tasks, coalescer, 1, work, "v"))
                await settle()
                clock.advance(2)
                callers.append(await start(tasks, coalescer, 1, work, "v"))
                work.go.set()
            assert [caller.value for caller in callers] == ["v"] * 3
        assert len(work.calls) == 1

    async def test_law_13_what_is_queued_takes_off_and_is_joined(self, clock: HandClock) -> None:
        old, queued = Work(), Work()
        async with Coalescer[int, str](max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, old, "old")
                fresh = await start(tasks, coalescer, 1, queued, "new", fresh=True)
                clock.advance(3)
                late = await start(tasks, coalescer, 1, old, "none")
                assert (old.running, queued.running) == (1, 1)
                assert len(coalescer.flights()) == 2
                old.go.set()
                queued.go.set()
            assert (fresh.value, late.value) == ("new", "new")
        assert len(old.calls) == 1

    async def test_law_5_a_fresh_call_need_not_wait_for_a_flight_that_is_too_old(
        self, clock: HandClock
    ) -> None:
        old, new = Work(), Work()
        async with Coalescer[int, str](max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                await start(tasks, coalescer, 1, old, "old")
                clock.advance(3)
                fresh = await start(tasks, coalescer, 1, new, "new", fresh=True)
                assert (old.running, new.running) == (1, 1)
                queued = await start(tasks, coalescer, 1, new, "queued", fresh=True)
                assert len(new.calls) == 1
                old.go.set()
                new.go.set()
            assert (fresh.value, queued.value) == ("new", "queued")

    async def test_law_4_an_abandoned_flight_in_its_clean_up_is_never_overtaken(
        self, clock: HandClock
    ) -> None:
        work = Work(slow_cleanup=True)
        async with Coalescer[int, int](max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                (await start(tasks, coalescer, 1, work, 1)).cancel()
                await settle()
                clock.advance(9)
                late = await start_many(2, tasks, coalescer, 1, work, 2)
                assert states(coalescer) == [FlightState.ABANDONED, FlightState.QUEUED]
                work.go.set()
                work.cleaned_up.set()
            assert [caller.value for caller in late] == [2, 2]
        assert work.most_running == 1
        assert_idle(coalescer)

    async def test_law_3_with_finish_an_abandoned_flight_is_overtaken_like_others(
        self, clock: HandClock
    ) -> None:
        old, new = Work(), Work()
        async with Coalescer[int, str](max_join_age=2, on_abandon="finish") as coalescer:
            async with anyio.create_task_group() as tasks:
                (await start(tasks, coalescer, 1, old, "old")).cancel()
                await settle()
                clock.advance(3)
                late = await start(tasks, coalescer, 1, new, "new")
                assert (old.running, old.cancelled, new.running) == (1, 0, 1)
                new.go.set()
                await settle()
                assert late.value == "new"
                old.go.set()
        assert coalescer.statistics().succeeded == 2
        assert_idle(coalescer)

    async def test_law_10_closing_waits_for_detached_flights_too(self, clock: HandClock) -> None:
        old, new = Work(), Work()

        async def end() -> None:
            await settle()
            new.go.set()
            await settle()
            old.go.set()

        async with anyio.create_task_group() as tasks:
            async with Coalescer[int, str](max_join_age=2) as coalescer:
                first = await start(tasks, coalescer, 1, old, "old")
                clock.advance(3)
                second = await start(tasks, coalescer, 1, new, "new")
                tasks.start_soon(end)
        assert (first.value, second.value) == ("old", "new")
        assert_idle(coalescer)

    async def test_a_call_in_a_cancelled_scope_starts_nothing(self, clock: HandClock) -> None:
        work = Work()
        async with Coalescer[int, int](max_join_age=2) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, work, 1)
                clock.advance(3)
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await coalescer.execute(1, work, 2)
                await settle()
                work.go.set()
            assert caller.value == 1
        assert work.calls == [(1,)]


class Traffic:
    """Work that takes so long by a clock that the test moves; how many executions overlapped."""

    def __init__(self, clock: HandClock, length: Fraction) -> None:
        self.clock = clock
        self.length = length
        self.ends: list[tuple[Fraction, anyio.Event]] = []
        self.most = 0
        self.now = Fraction(0)

    async def work(self) -> None:
        end = anyio.Event()
        self.ends.append((self.now + self.length, end))
        self.most = max(self.most, len(self.ends))
        await end.wait()

    async def until(self, time: Fraction) -> None:
        """Let all work end that ends till then, each at its own time."""
        while self.ends and self.ends[0][0] <= time:
            ends, event = self.ends.pop(0)
            self.move_to(ends)
            event.set()
            await ticks()
        self.move_to(time)

    def move_to(self, time: Fraction) -> None:
        self.now = time
        self.clock.now = float(time)


async def ticks() -> None:
    """Let the event loop take enough turns for all that one step of a simulation causes."""
    for _ in range(8):
        await anyio.lowlevel.checkpoint()


async def overlap(age: Fraction, length: Fraction, gaps: list[Fraction]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        clock = HandClock()
        for name in ("_calls", "_leaders"):
            patch.setattr(f"anyflight.{name}.current_time", clock.current_time)
        async with Coalescer[int, Any](max_join_age=float(age)) as coalescer:
            traffic = Traffic(clock, length)
            async with anyio.create_task_group() as tasks:
                for gap in gaps:
                    await traffic.until(traffic.now + gap)
                    tasks.start_soon(coalescer.execute, 1, traffic.work)
                    await ticks()
                await traffic.until(traffic.now + 2 * length)
            assert traffic.ends == []
        assert_idle(coalescer)
        assert coalescer.statistics().calls == len(gaps)
        return traffic.most


# In eighths, which a float holds exactly: the bound is sharp, and rounding would blur it.
EIGHTHS = st.integers(1, 40).map(lambda n: Fraction(n, 8))


@pytest.mark.parametrize("backend", [*ASYNCIO_BACKENDS, TRIO_BACKEND])
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(age=EIGHTHS, length=EIGHTHS, gaps=st.lists(EIGHTHS, min_size=1, max_size=40))
def test_law_13_no_more_than_length_through_age_executions_overlap(
    backend: Any, age: Fraction, length: Fraction, gaps: list[Fraction]
) -> None:
    name, options = backend
    most = anyio.run(overlap, age, length, gaps, backend=name, backend_options=options)
    assert most <= math.ceil(length / age)


@pytest.mark.parametrize("backend", [*ASYNCIO_BACKENDS, TRIO_BACKEND])
@pytest.mark.parametrize(("length", "executions"), [(8, 4), (9, 5), (10, 5), (2, 1), (1, 1)])
def test_law_13_under_steady_load_the_bound_is_reached(
    backend: Any, length: int, executions: int
) -> None:
    """Calls every eighth of a second, and two seconds after which a flight is too old."""
    name, options = backend
    gaps = [Fraction(1, 8)] * 8 * 16
    most = anyio.run(
        overlap, Fraction(2), Fraction(length), gaps, backend=name, backend_options=options
    )
    assert most == executions == math.ceil(length / 2)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [timed(("trio", {}))], ids=["trio with mock clock"])
async def test_law_13_under_steady_load_on_the_clock_of_trio() -> None:
    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(10)
        running -= 1

    running = most = 0
    async with Coalescer[int, None](max_join_age=3) as coalescer:
        async with anyio.create_task_group() as tasks:
            for _ in range(400):
                tasks.start_soon(coalescer.execute, 1, work)
                await anyio.sleep(0.1)
        assert coalescer.statistics().calls == 400
    assert most == 4  # ten through three, rounded up
    assert_idle(coalescer)
