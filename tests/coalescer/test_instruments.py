"""Instruments are told of each flight and call, and harm nobody."""

from __future__ import annotations

import logging
from dataclasses import FrozenInstanceError
from typing import Any

import anyio
import pytest

from anyflight import (
    CallJoined,
    CallLeft,
    Coalescer,
    FlightLanded,
    FlightOutcome,
    FlightStarted,
    Instrument,
)
from anyflight.instrumentation.key_counts import KeyCount, KeyCounts
from anyflight.instrumentation.logging import LoggingInstrument
from tests.support import Work, assert_idle, settle, start, start_many

pytestmark = pytest.mark.anyio


class Recorder(Instrument):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def flight_started(self, event: FlightStarted) -> None:
        self.events.append(event)

    def call_joined(self, event: CallJoined) -> None:
        self.events.append(event)

    def call_left(self, event: CallLeft) -> None:
        self.events.append(event)

    def flight_landed(self, event: FlightLanded) -> None:
        self.events.append(event)

    def landed(self) -> FlightLanded:
        (event,) = [event for event in self.events if isinstance(event, FlightLanded)]
        return event


async def test_each_event_is_told_in_its_order() -> None:
    recorder, work = Recorder(), Work()
    async with (
        Coalescer[int, int](name="users", instruments=[recorder]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        _, second, _ = await start_many(3, tasks, coalescer, 42, work, 7)
        second.cancel()
        await settle()
        work.go.set()
    landed = recorder.events.pop()
    assert recorder.events == [
        FlightStarted("users", 42, queued=False),
        CallJoined("users", 42, waiters=2),
        CallJoined("users", 42, waiters=3),
        CallLeft("users", 42, waiters=2),
    ]
    assert (landed.key, landed.outcome, landed.error) == (42, FlightOutcome.SUCCEEDED, None)
    assert landed.waiters == 2
    assert landed.delay >= 0
    assert landed.duration >= 0  # the clock of uvloop counts milliseconds


async def test_durations_are_those_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    for module in ("_announcer", "_leaders"):
        monkeypatch.setattr(f"anyflight.{module}.current_time", lambda: now)
    recorder, work = Recorder(), Work()
    limiter = anyio.CapacityLimiter(1)
    async with (
        Coalescer[int, int](instruments=[recorder], limiter=limiter) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        async with limiter:
            await start(tasks, coalescer, 1, work)
            now = 2.0
        await settle()
        now = 5.0
        work.go.set()
    assert (recorder.landed().delay, recorder.landed().duration) == (2.0, 3.0)


async def test_a_failure_is_told_with_its_error() -> None:
    recorder, error = Recorder(), ValueError("told")

    async def work() -> None:
        raise error

    async with Coalescer[int, None](instruments=[recorder]) as coalescer:
        with pytest.raises(ValueError, match="told"):
            await coalescer.execute(1, work)
    assert recorder.landed().outcome is FlightOutcome.FAILED
    assert recorder.landed().error is error


async def test_an_abandoned_flight_is_told_as_cancelled_for_nobody() -> None:
    recorder, work = Recorder(), Work()
    async with (
        Coalescer[int, int](instruments=[recorder]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        (await start(tasks, coalescer, 1, work)).cancel()
    assert recorder.events[1] == CallLeft("coalescer", 1, waiters=0)
    assert (recorder.landed().outcome, recorder.landed().waiters) == (FlightOutcome.CANCELLED, 0)


async def test_a_flight_that_never_began_had_no_duration() -> None:
    recorder, limiter = Recorder(), anyio.CapacityLimiter(1)
    async with (
        Coalescer[int, int](instruments=[recorder], limiter=limiter) as coalescer,
        anyio.create_task_group() as tasks,
        limiter,
    ):
        (await start(tasks, coalescer, 1, Work())).cancel()
        await settle()
    assert recorder.landed().outcome is FlightOutcome.CANCELLED
    assert recorder.landed().duration == 0


async def test_a_timed_out_flight_is_told_once() -> None:
    recorder = Recorder()
    async with Coalescer[int, int](instruments=[recorder], flight_timeout=0.001) as coalescer:
        with pytest.raises(TimeoutError):
            await coalescer.execute(1, Work())
    assert recorder.landed().outcome is FlightOutcome.TIMED_OUT


async def test_a_queued_flight_says_so() -> None:
    recorder, work = Recorder(), Work()
    async with (
        Coalescer[int, int](instruments=[recorder]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, coalescer, 1, work)
        await start(tasks, coalescer, 1, work, fresh=True)
        work.go.set()
    started = [event for event in recorder.events if isinstance(event, FlightStarted)]
    assert [event.queued for event in started] == [False, True]


async def test_events_are_frozen() -> None:
    event = FlightStarted("users", 42, queued=False)
    with pytest.raises(FrozenInstanceError):
        event.key = 43  # type: ignore[misc]


async def test_the_base_class_does_nothing() -> None:
    work = Work()
    async with (
        Coalescer[int, int](instruments=[Instrument()]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        first, _ = await start_many(2, tasks, coalescer, 1, work)
        first.cancel()
        await settle()
        work.go.set()
    assert_idle(coalescer)


async def test_one_that_raises_is_logged_once_and_told_of_nothing_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Recorder):
        def call_joined(self, event: CallJoined) -> None:
            super().call_joined(event)
            raise OSError("the disk is full")

    broken, whole, work = Broken(), Recorder(), Work()
    async with (
        Coalescer[int, int](name="users", instruments=[broken, whole]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        callers = await start_many(5, tasks, coalescer, 1, work, 7)
        work.go.set()
    assert [caller.value for caller in callers] == [7] * 5
    assert len(broken.events) == 2
    assert len(whole.events) == 6
    (record,) = caplog.records
    assert "call_joined" in record.message
    assert "'users'" in record.message
    assert record.exc_info is not None
    assert_idle(coalescer)


async def test_an_instrument_may_use_the_coalescer() -> None:
    class Forgetting(Instrument):
        def call_joined(self, event: CallJoined) -> None:
            seen.append(coalescer.statistics().joined)
            coalescer.forget(event.key)

        def flight_landed(self, event: FlightLanded) -> None:
            seen.append(coalescer.statistics().in_flight)

    seen: list[int] = []
    work = Work()
    async with (
        Coalescer[int, int](instruments=[Forgetting()]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        await start_many(2, tasks, coalescer, 1, work)
        await start_many(1, tasks, coalescer, 1, work)
        work.go.set()
    assert seen == [1, 1, 0]
    assert coalescer.statistics().flights == 2
    assert_idle(coalescer)


async def test_the_logging_instrument_writes_a_line_for_each_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    work = Work(fail=ValueError("no such user"))
    async with (
        Coalescer[int, int](name="users", instruments=[LoggingInstrument()]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        _, second = await start_many(2, tasks, coalescer, 42, work)
        await start(tasks, coalescer, 42, work, fresh=True)
        second.cancel()
        await settle()
        work.go.set()
    lines = [record.message for record in caplog.records if record.name == "anyflight"]
    assert lines[:4] == [
        "users: flight 42 started",
        "users: call joined 42 (2 wait)",
        "users: flight 42 queued",
        "users: call left 42 (1 wait)",
    ]
    assert lines[4].startswith("users: flight 42 failed after ")
    assert lines[4].endswith(" s, for 1 calls: ValueError('no such user')")
    assert isinstance(caplog.records[-1].event, FlightLanded)  # type: ignore[attr-defined]


async def test_the_logging_instrument_takes_a_logger_and_a_level(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("mine")
    caplog.set_level(logging.INFO, "mine")
    async with Coalescer[int, None](
        instruments=[LoggingInstrument(logger, level=logging.INFO)]
    ) as coalescer:
        await coalescer.execute(1, anyio.sleep, 0)
    assert {(record.name, record.levelno) for record in caplog.records} == {("mine", logging.INFO)}
    assert len(caplog.records) == 2


async def test_keys_are_counted_up_to_a_limit() -> None:
    counts, work = KeyCounts(max_keys=2), Work()
    async with (
        Coalescer[str, int](instruments=[counts]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        for key, calls in (("a", 2), ("b", 4), ("c", 3), ("d", 1)):
            await start_many(calls, tasks, coalescer, key, work)
        work.go.set()
    assert counts.most_joined() == [KeyCount("b", 1, 3), KeyCount("a", 1, 1)]
    assert counts.most_joined(1) == [KeyCount("b", 1, 3)]
    assert counts.other == (2, 2)
