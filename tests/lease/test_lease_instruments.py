"""Instruments are told of leases and outages, and harm nobody; statistics add up."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from typing import Any

import anyio
import pytest

from anyflight.lease import (
    LeaseEnd,
    LeaseEnded,
    LeaseInstrument,
    MemoryStore,
    ServerFound,
    ServerLost,
)
from tests.lease.leasing import Process
from tests.support import HandClock, Work, caught_cancellation, settle

pytestmark = pytest.mark.anyio

DOWN = ConnectionError("down")


class Recorder(LeaseInstrument):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def lease_ended(self, event: LeaseEnded) -> None:
        self.events.append(event)

    def server_lost(self, event: ServerLost) -> None:
        self.events.append(event)

    def server_found(self, event: ServerFound) -> None:
        self.events.append(event)

    @property
    def ends(self) -> list[LeaseEnd]:
        return [event.end for event in self.events if isinstance(event, LeaseEnded)]


async def at_once(value: object = 1) -> object:
    return value


async def fail() -> None:
    raise ValueError("broken")


class TestLeaseEnded:
    async def test_it_tells_which_lease_it_was_and_how_long_it_took(self, clock: HandClock) -> None:
        recorder, memory, work = Recorder(), MemoryStore(), Work()
        one = Process(memory)
        two = Process(memory, name="users", instruments=[recorder], encode_key=str)
        async with one, two, anyio.create_task_group() as tasks:
            first = await one.start(tasks, "7", work)
            await two.start(tasks, 7, work, 1)
            clock.advance(0.5)
            first.cancel()
            await settle()
            clock.advance(2)
            work.go.set()
        assert recorder.events == [
            LeaseEnded("users", 7, 2, LeaseEnd.COMMITTED, delay=0.5, duration=2)
        ]

    async def test_the_time_in_which_it_was_lost_before_is_part_of_the_delay(
        self, clock: HandClock
    ) -> None:
        recorder, memory, work = Recorder(), MemoryStore(), Work()
        process = Process(memory, ttl=9, instruments=[recorder])
        async with process, anyio.create_task_group() as tasks:
            await process.start(tasks, "k", work, 1)
            memory._states.clear()
            clock.advance(3)
            await settle()
            clock.advance(1)
            work.go.set()
        assert recorder.events == [
            LeaseEnded("lease", "k", 1, LeaseEnd.LOST, delay=0, duration=3),
            LeaseEnded("lease", "k", 2, LeaseEnd.COMMITTED, delay=3, duration=1),
        ]

    async def test_errors_and_values_that_are_not_shared_are_committed(self) -> None:
        recorder = Recorder()
        process = Process(MemoryStore(), instruments=[recorder])
        async with process:
            await process.lease.execute("k", at_once, object())
            with pytest.raises(ValueError, match="broken"):
                await process.lease.execute("k", fail)
        assert recorder.ends == [LeaseEnd.COMMITTED] * 2

    async def test_it_tells_how_it_ended_otherwise(self) -> None:
        recorder, work = Recorder(), Work()
        process = Process(MemoryStore(), instruments=[recorder])
        async with process, anyio.create_task_group() as tasks:
            await process.start(tasks, "fenced", work)
            await process.lease.invalidate("fenced")
            work.go.set()
            await settle()
            work.go = anyio.Event()
            call = await process.start(tasks, "released", work)
            call.cancel()
            await settle()
            process.store.fails["commit"] = DOWN
            await process.lease.execute("uncommitted", at_once)
        assert recorder.ends == [LeaseEnd.FENCED, LeaseEnd.RELEASED, LeaseEnd.UNCOMMITTED]

    async def test_who_waits_or_runs_without_a_lease_has_none_to_end(self) -> None:
        recorder, memory, work = Recorder(), MemoryStore(), Work()
        one, two = Process(memory), Process(memory, instruments=[recorder])
        async with one, two, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work)
            await two.start(tasks, "k", work)
            work.go.set()
            await settle()
            two.store.fails["acquire"] = DOWN
            await two.lease.execute("k", work)
        assert recorder.ends == []


async def test_outages_are_told_of_with_the_error_and_their_length(clock: HandClock) -> None:
    recorder = Recorder()
    process = Process(MemoryStore(), name="users", instruments=[recorder])
    async with process:
        process.store.fails["acquire"] = DOWN
        await process.lease.execute("k", at_once)
        clock.advance(1)
        await process.lease.execute("k", at_once)
        clock.advance(1)
        process.store.fails.clear()
        await process.lease.execute("k", at_once)
    assert recorder.events[:2] == [ServerLost("users", DOWN), ServerFound("users", 2)]


class TestHarm:
    async def test_one_that_raises_is_dropped_and_the_others_are_told(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(LeaseInstrument):
            def lease_ended(self, event: LeaseEnded) -> None:
                raised.append(1)
                raise error

        error: BaseException = ValueError("broken")
        raised: list[int] = []
        recorder = Recorder()
        process = Process(MemoryStore(), instruments=[Broken(), recorder], name="users")
        async with process:
            for _ in range(2):
                assert await process.lease.execute("k", at_once) == 1
        assert (len(raised), len(recorder.events)) == (1, 2)
        (record,) = caplog.records
        assert record.name == "anyflight"
        assert "raised in lease_ended and is told of nothing more by 'users'" in record.getMessage()
        process.assert_settled()

    async def test_nor_does_a_cancellation_that_one_raises_harm_anybody(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(LeaseInstrument):
            def lease_ended(self, event: LeaseEnded) -> None:
                raise cancellation

        cancellation = await caught_cancellation()
        process = Process(MemoryStore(), instruments=[Broken()])
        async with process:
            assert await process.lease.execute("k", at_once) == 1
        assert len(caplog.records) == 1
        process.assert_settled()

    @pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
    async def test_an_interrupt_comes_out(self, interrupt: type[BaseException]) -> None:
        class Interrupted(LeaseInstrument):
            def lease_ended(self, event: LeaseEnded) -> None:
                raise interrupt

        process = Process(MemoryStore(), instruments=[Interrupted()])
        async with process:
            with pytest.raises(interrupt):
                await process.lease.execute("k", at_once)
        process.assert_settled()

    async def test_methods_that_are_not_overridden_do_nothing(self, clock: HandClock) -> None:
        process = Process(MemoryStore(), instruments=[LeaseInstrument()])
        async with process:
            process.store.fails["acquire"] = DOWN
            await process.lease.execute("k", at_once)
            process.store.fails.clear()
            clock.advance(1)
            await process.lease.execute("k", at_once)

    async def test_one_that_is_dropped_in_a_call_of_its_own_is_dropped_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Nested(LeaseInstrument):
            def lease_ended(self, event: LeaseEnded) -> None:
                if not told:
                    told.append(event)
                    process.lease.core._shared.telling.tell("lease_ended", event)
                raise ValueError("broken")

        told: list[LeaseEnded] = []
        process = Process(MemoryStore(), instruments=[Nested()])
        async with process:
            await process.lease.execute("k", at_once)
            await process.lease.execute("k", at_once)
        assert len(caplog.records) == 2

    def test_records_are_frozen(self) -> None:
        event = ServerFound("users", 2)
        with pytest.raises(FrozenInstanceError):
            event.outage = 3  # type: ignore[misc]


class TestStatistics:
    async def test_they_are_all_zero_at_the_beginning(self) -> None:
        process = Process(MemoryStore())
        counts = asdict(process.counts)
        assert counts.pop("reachable") is True
        assert {*counts.values()} == {0}
        assert repr(process.lease) == "<Lease 'lease' (new), 0 held>"

    async def test_they_tell_what_goes_on_now(self) -> None:
        process, work = Process(MemoryStore()), Work()
        async with process, anyio.create_task_group() as tasks:
            for key in ("a", "a", "b"):
                await process.start(tasks, key, work)
            assert (process.counts.taking_part, process.counts.holding) == (3, 2)
            assert repr(process.lease) == "<Lease 'lease' (open), 2 held>"
            work.go.set()
        assert (process.counts.taking_part, process.counts.holding) == (0, 0)
        assert (process.counts.won, process.counts.ran, process.counts.shared) == (2, 2, 1)

    async def test_requests_are_counted_failures_included(self) -> None:
        process = Process(MemoryStore())
        async with process:
            await process.lease.execute("k", at_once)
            await process.lease.invalidate("k")
            process.store.fails["acquire"] = DOWN
            await process.lease.execute("k", at_once)
        assert (process.counts.requests, process.counts.failures) == (4, 1)

    async def test_they_cannot_be_changed(self) -> None:
        counts = Process(MemoryStore()).counts
        with pytest.raises(FrozenInstanceError):
            counts.calls = 1  # type: ignore[misc]

    async def test_they_go_on_when_the_lease_is_opened_again(self) -> None:
        process = Process(MemoryStore())
        for _ in range(2):
            async with process:
                await process.lease.execute("k", at_once)
        assert process.counts.calls == 2
