"""A lease is renewed while the work runs; what becomes of the work if it is lost."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyflight.lease import Busy, MemoryStore
from tests.lease.leasing import Process
from tests.support import HandClock, Work, settle

pytestmark = pytest.mark.anyio

TTL = 9.0  # renewed after 3 seconds; lost, as far as its process can know, after 8.1


@pytest.fixture
def memory(clock: HandClock) -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def one(memory: MemoryStore) -> Process:
    return Process(memory, ttl=TTL)


@pytest.fixture
def two(memory: MemoryStore) -> Process:
    return Process(memory, ttl=TTL)


async def pass_time(clock: HandClock, seconds: float) -> None:
    """Let time pass, in steps short enough for whatever happens meanwhile."""
    end = clock.now + seconds
    while clock.now < end:
        clock.advance(min(0.5, end - clock.now))
        await settle()


async def remaining(memory: MemoryStore) -> float:
    """Return how long the lease lasts still, which somebody must hold."""
    answer = await memory.acquire("k", "somebody", ttl=1, since=0)
    assert isinstance(answer, Busy)
    return answer.remaining


class TestRenewing:
    async def test_it_is_renewed_after_a_third_of_its_time(
        self, clock: HandClock, memory: MemoryStore, one: Process
    ) -> None:
        work = Work()
        async with one, anyio.create_task_group() as tasks:
            call = await one.start(tasks, "k", work, 1)
            for count in range(10):
                clock.advance(2.9)
                await settle()
                assert one.counts.renewals == count
                clock.advance(0.1)
                await settle()
                assert one.counts.renewals == count + 1
                assert await remaining(memory) == pytest.approx(TTL)
            work.go.set()
            await settle()
            assert call.value == 1
        assert one.counts.lost == 0
        assert one.counts.committed == 1
        one.assert_settled()

    async def test_each_lease_is_renewed_in_its_own_time(
        self, clock: HandClock, one: Process
    ) -> None:
        work = Work()
        async with one, anyio.create_task_group() as tasks:
            await one.start(tasks, "a", work)
            clock.advance(1)
            await one.start(tasks, "b", work)
            clock.advance(2)
            await settle()
            assert one.counts.renewals == 1
            clock.advance(1)
            await settle()
            assert one.counts.renewals == 2
            work.go.set()

    async def test_nothing_is_renewed_when_the_work_has_ended(
        self, clock: HandClock, one: Process
    ) -> None:
        work = Work()
        work.go.set()
        async with one:
            await one.lease.execute("k", work)
            clock.advance(TTL)
            await settle()
            assert one.counts.renewals == 0

    async def test_one_that_fails_is_tried_again(
        self, clock: HandClock, memory: MemoryStore, one: Process
    ) -> None:
        work = Work()
        async with one, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work)
            one.store.fails["renew"] = ConnectionError("reset")
            clock.advance(3)
            await settle()
            del one.store.fails["renew"]
            clock.advance(3)
            await settle()
            assert (one.store.requests.count("renew"), one.counts.renewals) == (2, 1)
            assert await remaining(memory) == TTL
            clock.advance(8)
            await settle()
            assert work.running == 1
            work.go.set()


class TestNotConfirmed:
    async def test_the_time_is_that_from_before_the_request(
        self, clock: HandClock, one: Process
    ) -> None:
        work = Work()
        async with one, anyio.create_task_group() as tasks:
            one.store.after["acquire"] = anyio.Event()
            await one.start(tasks, "k", work)
            clock.advance(0.9)
            one.store.after.pop("acquire").set()
            one.store.fails["renew"] = ConnectionError("reset")
            one.store.before["acquire"] = anyio.Event()
            await settle()
            clock.advance(7.1)
            await settle()
            assert work.running == 1
            clock.advance(0.1)
            await settle()
            assert (work.running, work.cancelled) == (0, 1)
            assert one.counts.lost == 1
            one.store.before["acquire"].set()
            work.go.set()

    async def test_so_it_is_of_a_renewal(self, clock: HandClock, one: Process) -> None:
        work = Work()
        async with one, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work)
            one.store.after["renew"] = anyio.Event()
            clock.advance(3)
            await settle()
            clock.advance(0.9)
            one.store.after.pop("renew").set()
            await settle()
            one.store.fails["renew"] = ConnectionError("reset")
            one.store.before["acquire"] = anyio.Event()
            await pass_time(clock, 7.1)
            assert work.running == 1
            await pass_time(clock, 0.2)  # 3 + 8.1 are over
            assert work.running == 0
            one.store.before["acquire"].set()
            work.go.set()

    async def test_a_late_answer_does_not_shorten_it(
        self, clock: HandClock, memory: MemoryStore
    ) -> None:
        process, work = Process(memory, ttl=0.9, request_timeout=1), Work()
        async with process, anyio.create_task_group() as tasks:
            await process.start(tasks, "k", work)
            process.store.after["renew"] = late = anyio.Event()
            clock.advance(0.3)
            await settle()
            del process.store.after["renew"]
            clock.advance(0.3)
            await settle()
            process.store.fails["renew"] = ConnectionError("reset")
            late.set()
            await settle()
            clock.advance(0.8)  # within 0.6 + 0.81, and after 0.3 + 0.81
            await settle()
            assert work.running == 1
            work.go.set()
        assert process.counts.lost == 0

    async def test_the_call_takes_part_again_and_wins_if_nobody_else_has(
        self, clock: HandClock, memory: MemoryStore, one: Process
    ) -> None:
        work = Work()
        async with one, anyio.create_task_group() as tasks:
            call = await one.start(tasks, "k", work, 1)
            one.store.fails["renew"] = ConnectionError("reset")
            await pass_time(clock, 8.2)
            assert len(work.calls) == 2
            assert one.counts.won == 2
            work.go.set()
            await settle()
            assert call.value == 1
        assert (one.counts.lost, one.counts.committed) == (1, 1)
        assert (work.most_running, work.cancelled) == (1, 1)
        one.assert_settled()

    async def test_if_the_server_cannot_be_asked_it_runs_the_work_without(
        self, clock: HandClock, one: Process
    ) -> None:
        work = Work()
        async with one, anyio.create_task_group() as tasks:
            call = await one.start(tasks, "k", work, 1)
            one.store.down = ConnectionError("down")
            one.store.cut()
            await pass_time(clock, 8.2)
            assert (len(work.calls), work.running) == (2, 1)
            await pass_time(clock, 20)
            assert (len(work.calls), work.running) == (2, 1)
            work.go.set()
            await settle()
            assert call.value == 1
        assert (one.counts.lost, one.counts.ran, one.counts.ran_unreachable) == (1, 0, 1)
        one.assert_settled()


class TestRefused:
    async def test_the_work_is_cancelled_and_the_call_waits_for_the_successor(
        self, clock: HandClock, memory: MemoryStore, one: Process, two: Process
    ) -> None:
        old, new = Work(), Work()
        async with one, two, anyio.create_task_group() as tasks:
            first = await one.start(tasks, "k", old, "old")
            memory._states.clear()  # the server was restarted
            second = await two.start(tasks, "k", new, "new")
            clock.advance(3)
            await settle()
            assert (old.cancelled, old.running) == (1, 0)
            new.go.set()
            await settle()
            assert first.value == second.value == "new"
        assert len(old.calls) == 1
        assert (one.counts.won, one.counts.lost, one.counts.shared) == (1, 1, 1)
        one.assert_settled()

    async def test_a_successor_that_failed_is_an_outcome_too(
        self, clock: HandClock, memory: MemoryStore, one: Process, two: Process
    ) -> None:
        new = Work(fail=ValueError("new"))
        async with one, two, anyio.create_task_group() as tasks:
            first = await one.start(tasks, "k", Work(), "old")
            memory._states.clear()
            await two.start(tasks, "k", new)
            clock.advance(3)
            await settle()
            new.go.set()
            await settle()
            assert "new" in repr(first.outcome)
        assert one.counts.remote_errors == 1

    async def test_it_is_not_renewed_any_more(
        self, clock: HandClock, memory: MemoryStore, one: Process
    ) -> None:
        work = Work(slow_cleanup=True)
        async with one, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work)
            memory._states.clear()
            clock.advance(3)
            await settle()
            assert work.cancelled == 1
            clock.advance(TTL)
            await settle()
            assert one.store.requests.count("renew") == 1
            work.cleaned_up.set()
            work.go.set()
        assert len(work.calls) == 2

    async def test_an_error_that_work_makes_of_it_is_not_an_outcome(
        self, clock: HandClock, memory: MemoryStore, one: Process
    ) -> None:
        async def awkward() -> int:
            runs.append(1)
            if len(runs) == 1:
                try:
                    await anyio.sleep_forever()
                finally:
                    raise ValueError("in the clean-up")
            return 2

        runs: list[int] = []
        async with one, anyio.create_task_group() as tasks:
            call = await one.start(tasks, "k", awkward)
            memory._states.clear()
            clock.advance(3)
            await settle()
            assert call.value == 2
        assert (one.counts.lost, one.counts.ran, one.counts.committed) == (1, 1, 1)

    async def test_a_value_in_spite_of_it_is_the_calls_own_and_nobody_elses(
        self, clock: HandClock, memory: MemoryStore, one: Process, two: Process
    ) -> None:
        async def stubborn() -> str:
            with anyio.CancelScope(shield=True):
                await go.wait()
            return "old"

        go, new = anyio.Event(), Work()
        async with one, two, anyio.create_task_group() as tasks:
            first = await one.start(tasks, "k", stubborn)
            memory._states.clear()
            second = await two.start(tasks, "k", new, "new")
            clock.advance(3)
            await settle()
            go.set()
            await settle()
            assert first.value == "old"
            new.go.set()
            await settle()
            assert second.value == "new"
        assert (one.counts.lost, one.counts.fenced, one.counts.ran) == (0, 1, 1)


class TestFinishing:
    @pytest.fixture
    def one(self, memory: MemoryStore) -> Process:
        return Process(memory, ttl=TTL, on_lost="finish")

    async def test_the_work_goes_on_and_its_value_is_not_shared(
        self, clock: HandClock, memory: MemoryStore, one: Process, two: Process
    ) -> None:
        old, new = Work(), Work()
        async with one, two, anyio.create_task_group() as tasks:
            first = await one.start(tasks, "k", old, "old")
            memory._states.clear()
            second = await two.start(tasks, "k", new, "new")
            clock.advance(3)
            await settle()
            clock.advance(TTL)
            await settle()
            assert (old.running, one.store.requests.count("renew")) == (1, 1)
            old.go.set()
            await settle()
            assert first.value == "old"
            new.go.set()
            await settle()
            assert second.value == "new"
        assert (one.counts.fenced, one.counts.ran) == (1, 1)
        one.assert_settled()

    async def test_its_error_is_not_shared_either(
        self, clock: HandClock, memory: MemoryStore, one: Process, two: Process
    ) -> None:
        error = ValueError("old")
        old, new = Work(fail=error), Work()
        async with one, two, anyio.create_task_group() as tasks:
            first = await one.start(tasks, "k", old)
            memory._states.clear()
            second = await two.start(tasks, "k", new, "new")
            old.go.set()
            await settle()
            assert first.outcome is error
            new.go.set()
            await settle()
            assert second.value == "new"
        assert one.counts.fenced == 1

    async def test_it_is_tried_to_renew_it_and_the_value_may_be_in_time_yet(
        self, clock: HandClock, memory: MemoryStore, one: Process, two: Process
    ) -> None:
        work = Work()
        async with one, two, anyio.create_task_group() as tasks:
            call = await one.start(tasks, "k", work, 1)
            one.store.fails["renew"] = ConnectionError("reset")
            for _ in range(5):
                clock.advance(3)
                await settle()
            assert (one.store.requests.count("renew"), one.counts.renewals) == (5, 0)
            work.go.set()
            await settle()
            assert call.value == 1
        assert (one.counts.lost, one.counts.committed) == (0, 1)


class TestAgainAndAgain:
    async def test_work_that_blocks_the_event_loop_for_too_long_is_cancelled_only_once(
        self, clock: HandClock, one: Process
    ) -> None:
        async def blocking() -> int:
            runs.append(1)
            clock.advance(TTL)  # as time.sleep(9) would
            await checkpoint()
            return len(runs)

        runs: list[int] = []
        async with one:
            assert await one.lease.execute("k", blocking) == 2
        assert one.counts.lost == 1
        one.assert_settled()

    async def test_nor_is_work_of_a_server_that_answers_too_late(
        self, clock: HandClock, memory: MemoryStore
    ) -> None:
        process, work = Process(memory, ttl=0.1), Work()
        process.store.look = lambda: clock.advance(0.1)
        async with process, anyio.create_task_group() as tasks:
            call = await process.start(tasks, "k", work, 1)
            await settle()
            assert len(work.calls) <= 2
            work.go.set()
            await settle()
            assert call.value == 1

    async def test_what_is_lost_a_second_time_goes_on(
        self, clock: HandClock, memory: MemoryStore, one: Process
    ) -> None:
        work = Work()
        async with one, anyio.create_task_group() as tasks:
            call = await one.start(tasks, "k", work, 1)
            for _ in range(2):
                memory._states.clear()
                clock.advance(3)
                await settle()
            assert (len(work.calls), work.cancelled, work.running) == (2, 1, 1)
            clock.advance(TTL)
            await settle()
            work.go.set()
            await settle()
            assert call.value == 1
        assert (one.counts.lost, one.counts.fenced) == (1, 1)
