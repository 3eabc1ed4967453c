"""A server that cannot be asked costs no call its value, and is asked no more than it helps."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import anyio
import pytest

from anyflight import CoalescerError
from anyflight.lease import LeaseConfigurationError, LeaseUnavailableError, MemoryStore
from tests.lease.leasing import Process
from tests.support import PENDING, HandClock, Work, settle

pytestmark = pytest.mark.anyio

DOWN = ConnectionError("secret")


async def at_once(value: int = 1) -> int:
    return value


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "anyflight"):
        yield caplog


def lines(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in log.records]


class TestFailingOpen:
    async def test_the_call_that_finds_out_runs_its_work_at_once(self, clock: HandClock) -> None:
        process = Process(MemoryStore())
        async with process:
            process.store.down = DOWN
            assert await process.lease.execute("k", at_once, 2) == 2
            assert await process.lease.execute("k", at_once, 3, fresh=True) == 3
        assert (process.counts.ran_unreachable, process.counts.outages) == (2, 1)
        process.assert_settled()

    async def test_others_do_not_even_ask_until_it_is_time_to_try_again(
        self, clock: HandClock
    ) -> None:
        process = Process(MemoryStore(), retry_interval=3)
        async with process:
            process.store.fails["acquire"] = DOWN
            await process.lease.execute("k", at_once)
            for seconds, requests in ((0, 1), (2.9, 1), (0.1, 2), (2.9, 2), (0.1, 3)):
                clock.advance(seconds)
                for _ in range(10):
                    await process.lease.execute("k", at_once)
                assert process.store.requests.count("acquire") == requests
        assert process.counts.ran_unreachable == 51

    async def test_of_those_that_come_at_the_same_time_one_tries(self, clock: HandClock) -> None:
        process = Process(MemoryStore(), retry_interval=3)
        async with process, anyio.create_task_group() as tasks:
            process.store.fails["acquire"] = DOWN
            await process.lease.execute("k", at_once)
            del process.store.fails["acquire"]
            process.store.before["acquire"] = gate = anyio.Event()
            clock.advance(3)
            work = Work()
            calls = [await process.start(tasks, f"{number}", work, 1) for number in range(5)]
            assert process.store.requests.count("acquire") == 2
            assert work.running == 4
            gate.set()
            work.go.set()
            await settle()
            assert [call.value for call in calls] == [1] * 5
        assert (process.counts.ran, process.counts.ran_unreachable) == (1, 5)

    async def test_one_that_does_not_answer_is_waited_for_once(self, clock: HandClock) -> None:
        process, work = Process(MemoryStore(), request_timeout=2), Work()
        work.go.set()
        async with process, anyio.create_task_group() as tasks:
            process.store.before["acquire"] = anyio.Event()
            call = await process.start(tasks, "k", work, 1)
            clock.advance(1.9)
            await settle()
            assert call.outcome is PENDING
            clock.advance(0.1)
            await settle()
            assert call.value == 1
            assert await process.lease.execute("k", work, 2) == 2
        assert process.counts.ran_unreachable == 2
        process.assert_settled()

    async def test_a_call_that_waits_finds_out_when_it_asks_again(self, clock: HandClock) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory, poll_interval=5)
        async with one, two, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work, 1)
            call = await two.start(tasks, "k", at_once, 2)
            two.store.fails["acquire"] = DOWN
            clock.advance(5)
            await settle()
            assert call.value == 2
            work.go.set()
        two.assert_settled()

    async def test_work_that_runs_without_a_lease_is_left_alone(self, clock: HandClock) -> None:
        process, work = Process(MemoryStore(), ttl=1), Work()
        async with process, anyio.create_task_group() as tasks:
            process.store.fails["acquire"] = DOWN
            call = await process.start(tasks, "k", work, 1)
            clock.advance(100)
            await settle()
            assert (work.running, process.counts.renewals) == (1, 0)
            work.go.set()
            await settle()
            assert call.value == 1
        assert process.counts.committed == 0

    async def test_its_error_is_its_own(self) -> None:
        process, work = Process(MemoryStore()), Work(fail=ValueError("broken"))
        work.go.set()
        async with process:
            process.store.fails["acquire"] = DOWN
            with pytest.raises(ValueError, match="broken") as caught:
                await process.lease.execute("k", work)
            assert caught.value.__context__ is caught.value.__cause__ is None
        assert process.counts.ran_unreachable == 1
        process.assert_settled()


class TestLostAnswers:
    async def test_of_an_acquire_the_others_wait_until_that_lease_is_over(
        self, clock: HandClock
    ) -> None:
        memory = MemoryStore()
        one, two = Process(memory, ttl=9), Process(memory, poll_interval=1)
        async with one, two, anyio.create_task_group() as tasks:
            one.store.loses["acquire"] = DOWN
            assert await one.lease.execute("k", at_once, 1) == 1
            call = await two.start(tasks, "k", at_once, 2)
            for _ in range(9):
                assert call.outcome is PENDING
                clock.advance(1)
                await settle()
            assert call.value == 2

    async def test_of_a_commit_the_others_have_the_outcome(self) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            first = await one.start(tasks, "k", work, 1)
            second = await two.start(tasks, "k", work)
            one.store.loses["commit"] = DOWN
            work.go.set()
            await settle()
            assert first.value == second.value == 1
        assert (one.counts.uncommitted, one.counts.committed, one.counts.ran) == (1, 0, 1)

    async def test_a_commit_that_does_not_arrive_costs_the_others_the_time_of_the_lease(
        self, clock: HandClock
    ) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory, ttl=9), Process(memory, poll_interval=1)
        async with one, two, anyio.create_task_group() as tasks:
            first = await one.start(tasks, "k", work, 1)
            second = await two.start(tasks, "k", at_once, 2)
            one.store.fails["commit"] = DOWN
            work.go.set()
            await settle()
            assert first.value == 1
            for _ in range(9):
                assert second.outcome is PENDING
                clock.advance(1)
                await settle()
            assert second.value == 2
        one.assert_settled()


class TestComingBack:
    async def test_the_next_call_that_tries_finds_it(self, clock: HandClock) -> None:
        process = Process(MemoryStore(), retry_interval=3)
        async with process:
            process.store.fails["acquire"] = DOWN
            await process.lease.execute("k", at_once)
            del process.store.fails["acquire"]
            clock.advance(3)
            await process.lease.execute("k", at_once)
            await process.lease.execute("k", at_once)
        assert (process.counts.ran, process.counts.ran_unreachable) == (2, 1)

    async def test_the_subscription_finds_it_if_no_call_does(self, clock: HandClock) -> None:
        process = Process(MemoryStore(), retry_interval=8)
        async with process:
            process.store.down = DOWN
            process.store.cut()
            await settle()
            for pause in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8, 8):  # each twice as long
                before = process.store.requests.count("check")
                clock.advance(pause * 0.99)
                await settle()
                assert process.store.requests.count("check") == before
                clock.advance(pause * 0.02)
                await settle()
                assert process.store.requests.count("check") == before + 1
            process.store.down = None
            clock.advance(8)
            await settle()
            await process.lease.execute("k", at_once)
        assert (process.counts.ran, process.counts.reconnects) == (1, 1)


class TestLog:
    async def test_there_is_one_warning_for_each_outage_and_one_line_at_its_end(
        self, clock: HandClock, log: pytest.LogCaptureFixture
    ) -> None:
        process, work = Process(MemoryStore(), name="users", retry_interval=3), Work()
        async with process, anyio.create_task_group() as tasks:
            await process.start(tasks, "held", work)
            for _ in range(2):
                clock.advance(60)
                process.store.down = DOWN
                process.store.cut()
                await settle()
                for _ in range(10):
                    clock.advance(1.5)
                    await settle()
                    await process.lease.execute("k", at_once)
                process.store.down = None
                clock.advance(3)
                await settle()
            work.go.set()
        found = lines(log)
        assert [level for level, _ in found] == ["WARNING", "INFO"] * 2
        assert found[0][1].startswith("Lease 'users': the server cannot be asked (ConnectionError")
        assert found[1][1].startswith("Lease 'users': the server answers again, after 1")
        assert process.counts.outages == 2

    async def test_a_server_that_comes_and_goes_is_warned_of_once_in_a_minute(
        self, clock: HandClock, log: pytest.LogCaptureFixture
    ) -> None:
        process = Process(MemoryStore(), retry_interval=1)
        async with process:
            for _ in range(100):
                process.store.fails["acquire"] = DOWN
                await process.lease.execute("k", at_once)
                clock.advance(1)
                process.store.fails.clear()
                await process.lease.execute("k", at_once)
                clock.advance(1)
        assert process.counts.outages == 100
        assert [level for level, _ in lines(log) if level != "DEBUG"] == ["WARNING", "INFO"] * 4

    async def test_an_outage_that_goes_on_is_warned_of_though_it_began_soon_after_another(
        self, clock: HandClock, log: pytest.LogCaptureFixture
    ) -> None:
        process = Process(MemoryStore(), retry_interval=1)
        async with process:
            process.store.fails["acquire"] = DOWN
            await process.lease.execute("k", at_once)
            process.store.fails.clear()
            clock.advance(1)
            await process.lease.execute("k", at_once)
            process.store.fails["acquire"] = DOWN
            for _ in range(100):
                await process.lease.execute("k", at_once)
                clock.advance(1)
        found = [level for level, _ in lines(log) if level != "DEBUG"]
        assert found == ["WARNING", "INFO", "WARNING"]

    async def test_what_a_request_was_answered_is_not_in_it(
        self, log: pytest.LogCaptureFixture
    ) -> None:
        process = Process(MemoryStore())
        async with process:
            for method in ("acquire", "commit"):
                process.store.fails = {method: DOWN}
                await process.lease.execute("k", at_once)
        assert "secret" not in log.text
        assert "ConnectionError" in log.text

    async def test_why_the_server_cannot_be_reached_is(
        self, clock: HandClock, log: pytest.LogCaptureFixture
    ) -> None:
        process = Process(MemoryStore(), name="users")
        process.store.fails["check"] = ConnectionError("refused")
        async with process:
            pass
        ((level, message),) = lines(log)
        assert level == "WARNING"
        assert message == (
            "Lease 'users': the server cannot be asked (ConnectionError: refused); calls run "
            "without it until it answers"
        )


class TestOpening:
    async def test_it_opens_at_once_and_calls_do_not_ask(self, clock: HandClock) -> None:
        process = Process(MemoryStore())
        process.store.down = DOWN
        async with process:
            assert await process.lease.execute("k", at_once) == 1
            assert process.store.requests == ["check"]

    async def test_one_that_does_not_answer_is_waited_for_no_longer_than_for_a_request(
        self, clock: HandClock
    ) -> None:
        async def opening() -> None:
            async with process:
                opened.set()
                await close.wait()

        process, opened, close = Process(MemoryStore(), request_timeout=2), anyio.Event(), Work().go
        process.store.before["check"] = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(opening)
            await settle()
            clock.advance(1.9)
            await settle()
            assert not opened.is_set()
            clock.advance(0.1)
            await settle()
            assert opened.is_set()
            assert await process.lease.execute("k", at_once) == 1
            close.set()
        assert process.counts.ran_unreachable == 1

    async def test_one_that_never_will_do_is_an_error(self, log: pytest.LogCaptureFixture) -> None:
        process, reason = Process(MemoryStore()), LeaseConfigurationError("too old")
        process.store.fails["check"] = reason
        for _ in range(2):
            with pytest.raises(LeaseConfigurationError, match="too old") as caught:
                await process.lease.__aenter__()
            assert caught.value is reason
            with pytest.raises(anyio.ClosedResourceError):
                await process.lease.execute("k", at_once)
        assert lines(log) == []
        process.store.fails.clear()
        async with process:
            assert await process.lease.execute("k", at_once) == 1

    async def test_if_it_is_found_out_later_it_is_an_outage(
        self, clock: HandClock, log: pytest.LogCaptureFixture
    ) -> None:
        process = Process(MemoryStore())
        async with process:
            process.store.fails["check"] = LeaseConfigurationError("password changed")
            process.store.fails["acquire"] = DOWN
            process.store.cut()
            await settle()
            clock.advance(0.05)
            await settle()
            assert await process.lease.execute("k", at_once) == 1
        assert process.counts.outages == 1
        assert "password changed" in log.text

    async def test_what_was_known_of_the_server_is_forgotten_at_the_next_opening(
        self, clock: HandClock
    ) -> None:
        process = Process(MemoryStore())
        process.store.down = DOWN
        async with process:
            pass
        process.store.down = None
        clock.now = -1000  # the clock of another event loop
        async with process:
            assert await process.lease.execute("k", at_once) == 1
        assert process.counts.ran == 1
        assert process.counts.ran_unreachable == 0


class TestRaising:
    async def test_a_call_is_refused_if_that_was_asked_for(self, clock: HandClock) -> None:
        process = Process(MemoryStore(), on_unreachable="raise")
        async with process:
            process.store.fails["acquire"] = DOWN
            with pytest.raises(LeaseUnavailableError) as caught:
                await process.lease.execute("k", at_once)
            assert caught.value.__cause__ is DOWN
            assert caught.value.key == "k"
            assert str(caught.value) == "the server could not be asked about key 'k'"
            assert isinstance(caught.value, CoalescerError)
            with pytest.raises(LeaseUnavailableError) as caught:
                await process.lease.execute("k", at_once)  # which does not ask
            assert caught.value.__cause__ is None
        assert (process.counts.given_up, process.counts.ran_unreachable) == (2, 0)
        process.assert_settled()

    async def test_a_request_that_took_too_long_is_no_answer_either(self, clock: HandClock) -> None:
        process = Process(MemoryStore(), on_unreachable="raise")
        async with process, anyio.create_task_group() as tasks:
            process.store.before["acquire"] = anyio.Event()
            call = await process.start(tasks, "k", at_once)
            clock.advance(1)
            await settle()
            assert isinstance(call.outcome, LeaseUnavailableError)
            assert isinstance(call.outcome.__cause__, TimeoutError)

    async def test_work_that_has_its_value_keeps_it(self) -> None:
        process = Process(MemoryStore(), on_unreachable="raise")
        async with process:
            process.store.fails["commit"] = DOWN
            assert await process.lease.execute("k", at_once) == 1

    @pytest.mark.parametrize("on_unreachable", ["run", "raise"])
    async def test_an_invalidation_that_is_not_heard_is_none(self, on_unreachable: str) -> None:
        process = Process(MemoryStore(), on_unreachable=on_unreachable)
        async with process:
            process.store.fails["invalidate"] = DOWN
            with pytest.raises(LeaseUnavailableError) as caught:
                await process.lease.invalidate("k")
            assert caught.value.__cause__ is DOWN
            assert caught.value.key == "k"
            process.store.fails.clear()
            await process.lease.invalidate("k")  # it is asked although it was lost
