"""Many requests at once wait for their turns, and not for a server that does not answer."""

from __future__ import annotations

import logging
from functools import partial

import anyio
import pytest

from anyflight.lease import LeaseUnavailableError, MemoryStore, RequestRefusedError
from tests.lease.leasing import Process
from tests.support import CANCELLED, PENDING, WAYS, Caller, HandClock, Work, settle

pytestmark = pytest.mark.anyio


async def at_once(value: int = 1) -> int:
    return value


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyflight.lease._requests.AT_ONCE", 2)


class TestTurns:
    async def test_so_many_calls_ask_at_once_and_the_others_when_these_have_been_answered(
        self, clock: HandClock
    ) -> None:
        process = Process(MemoryStore(), request_timeout=1)
        async with process, anyio.create_task_group() as tasks:
            gate = process.store.before["acquire"] = anyio.Event()
            calls = [await process.start(tasks, f"{number}", at_once) for number in range(5)]
            assert process.store.requests.count("acquire") == 2
            clock.advance(0.9)
            gate.set()
            await settle()
            assert [call.value for call in calls] == [1] * 5
        assert process.counts.failures == 0
        process.assert_settled()

    async def test_the_time_of_a_lease_begins_with_the_turn(self, clock: HandClock) -> None:
        memory, work = MemoryStore(), Work()
        process = Process(memory, ttl=9, request_timeout=5)
        async with process, anyio.create_task_group() as tasks:
            gate = process.store.before["acquire"] = anyio.Event()
            for key in "abc":
                await process.start(tasks, key, work)
            clock.advance(4)
            gate.set()
            await settle()
            process.store.fails["renew"] = ConnectionError
            process.store.before["acquire"] = again = anyio.Event()
            clock.advance(4.2)  # 8.2 since the first were asked for
            await settle()
            assert work.running == 1
            again.set()
            work.go.set()

    async def test_who_ends_a_lease_does_not_wait_for_those_who_want_one(self) -> None:
        process, work = Process(MemoryStore()), Work()
        async with process, anyio.create_task_group() as tasks:
            call = await process.start(tasks, "held", work, 1)
            gate = process.store.before["acquire"] = anyio.Event()
            for number in range(3):
                await process.start(tasks, f"{number}", at_once)
            work.go.set()
            await settle()
            assert call.value == 1
            gate.set()

    async def test_one_that_is_cancelled_while_it_waits_for_its_turn_leaves_nothing(self) -> None:
        process = Process(MemoryStore())
        async with process, anyio.create_task_group() as tasks:
            gate = process.store.before["acquire"] = anyio.Event()
            calls = [await process.start(tasks, f"{number}", at_once) for number in range(4)]
            calls[2].cancel()
            await settle()
            assert calls[2].outcome is CANCELLED
            gate.set()
            await settle()
            assert calls[3].value == 1
        process.assert_settled()

    @pytest.mark.parametrize("way", WAYS)
    async def test_of_many_that_are_cancelled_only_those_that_were_sent_are_taken_back(
        self, way: str
    ) -> None:
        process = Process(MemoryStore())
        async with process, anyio.create_task_group() as tasks:
            gate = process.store.before["acquire"] = anyio.Event()
            calls = [Caller() for _ in range(300)]
            for number, call in enumerate(calls):
                execute = partial(process.lease.execute, f"{number}", at_once)
                tasks.start_soon(call.run, way, execute)
            await settle()
            for call in calls:
                call.cancel()
            await settle()
            gate.set()
            await settle()
            assert {call.outcome for call in calls} == {CANCELLED}
        assert process.store.requests.count("acquire") == 2
        assert process.store.requests.count("release") == 2
        process.assert_settled()


class TestServerThatHangs:
    async def test_all_calls_run_their_work_when_the_first_have_found_out(
        self, clock: HandClock
    ) -> None:
        process = Process(MemoryStore(), request_timeout=1)
        async with process, anyio.create_task_group() as tasks:
            process.store.before["acquire"] = anyio.Event()
            calls = [await process.start(tasks, f"{number}", at_once) for number in range(10)]
            clock.advance(1)
            await settle()
            assert [call.outcome for call in calls] == [1] * 10
            assert process.store.requests.count("acquire") == 2
        assert process.counts.ran_unreachable == 10
        process.assert_settled()

    async def test_all_values_are_returned_then(self, clock: HandClock) -> None:
        process, work = Process(MemoryStore(), request_timeout=1), Work()
        async with process, anyio.create_task_group() as tasks:
            calls = [await process.start(tasks, f"{number}", work, 1) for number in range(10)]
            process.store.before["commit"] = anyio.Event()
            work.go.set()
            await settle()
            assert {call.outcome for call in calls} == {PENDING}
            clock.advance(1)
            await settle()
            assert [call.outcome for call in calls] == [1] * 10
        assert process.counts.uncommitted == 10
        process.assert_settled()

    async def test_so_they_are_if_it_was_lost_before(self, clock: HandClock) -> None:
        process, work = Process(MemoryStore(), request_timeout=1, retry_interval=100), Work()
        async with process, anyio.create_task_group() as tasks:
            calls = [await process.start(tasks, f"{number}", work, 1) for number in range(10)]
            process.store.fails["acquire"] = ConnectionError
            await process.lease.execute("other", at_once)
            process.store.before["commit"] = anyio.Event()
            work.go.set()
            await settle()
            clock.advance(1)
            await settle()
            assert [call.outcome for call in calls] == [1] * 10

    async def test_all_that_were_cancelled_end_then(self, clock: HandClock) -> None:
        process, work = Process(MemoryStore(), request_timeout=1), Work()
        async with process, anyio.create_task_group() as tasks:
            calls = [await process.start(tasks, f"{number}", work, 1) for number in range(10)]
            process.store.before["release"] = anyio.Event()
            for call in calls:
                call.cancel()
            await settle()
            clock.advance(1)
            await settle()
            assert {call.outcome for call in calls} == {CANCELLED}
        process.assert_settled()

    async def test_what_is_read_for_a_cache_is_not_waited_for_either(
        self, clock: HandClock
    ) -> None:
        process = Process(MemoryStore(), request_timeout=1)
        async with process, anyio.create_task_group() as tasks:
            process.store.before["acquire"] = process.store.before["read"] = anyio.Event()
            for number in range(2):
                await process.start(tasks, f"{number}", at_once)
            refusals = list[str]()

            async def read() -> None:
                try:
                    await process.lease.core.asking.read("k")
                except LeaseUnavailableError as exc:
                    refusals.append(str(exc))

            tasks.start_soon(read)
            await settle()
            clock.advance(1)
            await settle()
            await read()
        assert refusals == ["the server could not be asked about key 'k'"] * 2
        assert "read" not in process.store.requests


class TestLateAnswers:
    async def test_a_lease_that_nobody_knew_of_is_given_back_when_the_server_is_there_again(
        self, clock: HandClock
    ) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory, request_timeout=1), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            one.store.after["acquire"] = anyio.Event()
            first = await one.start(tasks, "k", work, 1)
            clock.advance(1)
            await settle()
            assert work.running == 1
            del one.store.after["acquire"]
            clock.advance(1)
            assert await one.lease.execute("other", at_once) == 1
            second = await two.start(tasks, "k", at_once, 2)
            assert second.outcome is PENDING
            work.go.set()
            await settle()
            assert (first.value, second.value) == (1, 2)
        one.assert_settled()


class TestRefused:
    async def test_one_request_that_the_server_refuses_is_no_outage(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        process = Process(MemoryStore(), name="users")
        with caplog.at_level(logging.DEBUG, "anyflight"):
            async with process:
                process.store.fails["acquire"] = RequestRefusedError("ResponseError: WRONGTYPE")
                for _ in range(2):
                    assert await process.lease.execute("k", at_once) == 1
                del process.store.fails["acquire"]
                assert await process.lease.execute("k", at_once) == 1
        counts = process.counts
        assert (counts.ran_unreachable, counts.ran, counts.outages) == (2, 1, 0)
        assert counts.failures == 2
        assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG"]
        assert caplog.records[0].getMessage() == (
            "Lease 'users': the server refused a request (ResponseError: WRONGTYPE), and the call "
            "went on without it; more of this is logged as DEBUG"
        )
