"""A lease is open for the length of its block, and waits at the end for the calls that go on."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio import from_thread, to_thread

from anyflight import FlightCancelledError
from anyflight.lease import Lease, MemoryStore
from tests.lease.leasing import Process, block
from tests.support import CANCELLED, PENDING, Caller, HandClock, Work, settle

pytestmark = pytest.mark.anyio


async def at_once(value: int = 1) -> int:
    return value


class TestNotOpen:
    async def test_one_that_was_never_opened_says_so(self) -> None:
        lease = Lease[str](MemoryStore(), name="users")
        for call in (lease.execute("k", at_once), lease.invalidate("k")):
            with pytest.raises(
                RuntimeError,
                match=r"^Lease 'users' \(new\) is not open: call it inside its 'async with' block$",
            ):
                await call

    async def test_one_that_is_closed_refuses_calls(self) -> None:
        process = Process(MemoryStore())
        async with process:
            pass
        for call in (process.lease.execute("k", at_once), process.lease.invalidate("k")):
            with pytest.raises(anyio.ClosedResourceError, match=r"\(closed\) takes no new calls"):
                await call
        assert process.counts.calls == 0

    async def test_it_cannot_be_opened_twice(self) -> None:
        process = Process(MemoryStore())
        async with process:
            with pytest.raises(RuntimeError, match="cannot be entered twice"):
                await process.lease.__aenter__()
            assert await process.lease.execute("k", at_once) == 1

    async def test_it_cannot_be_closed_before_it_is_opened(self) -> None:
        with pytest.raises(RuntimeError, match="was not entered"):
            await Lease[str](MemoryStore()).__aexit__(None, None, None)

    async def test_it_can_be_opened_again(self) -> None:
        process = Process(MemoryStore())
        for count in range(1, 4):
            async with process:
                assert await process.lease.execute("k", at_once) == 1
            assert process.store.subscriptions == count
            process.assert_settled()


class TestElsewhere:
    async def test_another_event_loop_is_told_what_to_do(self) -> None:
        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="belongs to another event loop or thread"):
                await process.lease.execute("k", at_once)
            with pytest.raises(RuntimeError, match="belongs to another event loop or thread"):
                await process.lease.invalidate("k")
            with pytest.raises(RuntimeError, match="belongs to another event loop or thread"):
                await process.lease.__aexit__(None, None, None)

        process = Process(MemoryStore())
        async with process:
            await to_thread.run_sync(anyio.run, elsewhere)
            assert await process.lease.execute("k", at_once) == 1

    async def test_a_thread_calls_it_by_way_of_the_event_loop(self) -> None:
        def in_thread() -> Any:
            return from_thread.run(process.lease.execute, "k", at_once)

        process = Process(MemoryStore())
        async with process:
            assert await to_thread.run_sync(in_thread) == 1

    async def test_statistics_may_be_asked_for_in_any_thread(self) -> None:
        process = Process(MemoryStore())
        async with process:
            await process.lease.execute("k", at_once)
            assert (await to_thread.run_sync(process.lease.statistics)).calls == 1


def test_it_can_be_opened_in_one_event_loop_after_the_other() -> None:
    async def use() -> None:
        process.store.store = MemoryStore()  # which belongs to one
        async with process:
            assert await process.lease.execute("k", at_once) == 1

    process = Process(MemoryStore())
    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(use, backend=backend)
    assert process.counts.ran == 3


class TestClosing:
    async def test_it_waits_for_the_calls_that_go_on_and_refuses_new_ones(
        self, clock: HandClock
    ) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory, ttl=9), Process(memory)
        async with anyio.create_task_group() as tasks:
            closing = await block(tasks, one)
            async with two:
                first = await one.start(tasks, "k", work, 1)
                second = await one.start(tasks, "k", work, 2)
                closing.go.set()
                await settle()
                with pytest.raises(anyio.ClosedResourceError):
                    await one.lease.execute("other", at_once)
                with pytest.raises(anyio.ClosedResourceError):
                    await one.lease.invalidate("other")
                for _ in range(10):
                    clock.advance(3)
                    await settle()
                assert one.counts.renewals == 10
                third = await two.start(tasks, "k", work, 3)
                assert closing.outcome is PENDING
                work.go.set()
                await settle()
                assert first.value == second.value == third.value == 1
                assert closing.outcome is None
        one.assert_settled()

    async def test_without_any_it_does_not_wait(self, clock: HandClock) -> None:
        async with anyio.create_task_group() as tasks:
            process = Process(MemoryStore())
            closing = await block(tasks, process)
            await process.lease.execute("k", at_once)
            closing.go.set()
            await settle()
            assert closing.outcome is None

    async def test_nor_for_the_time_until_a_renewal_when_the_last_has_ended(
        self, clock: HandClock
    ) -> None:
        async with anyio.create_task_group() as tasks:
            process, work = Process(MemoryStore()), Work()
            closing = await block(tasks, process)
            await process.start(tasks, "k", work)
            closing.go.set()
            await settle()
            work.go.set()
            await settle()
            assert closing.outcome is None

    async def test_a_call_that_waits_for_another_process_is_waited_for(self) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory)
        async with one, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work, 1)
            closing = await block(tasks, two)
            call = await two.start(tasks, "k", at_once)
            closing.go.set()
            await settle()
            assert closing.outcome is PENDING
            work.go.set()
            await settle()
            assert call.value == 1
            assert closing.outcome is None

    async def test_the_subscription_ends_with_it(self) -> None:
        memory = MemoryStore()
        process = Process(memory)
        async with process:
            assert len(memory._hearers) == 1
        assert memory._hearers == []

    async def test_it_can_be_cancelled_while_it_waits(self) -> None:
        process, work = Process(MemoryStore()), Work()
        async with anyio.create_task_group() as tasks:
            closing = await block(tasks, process)
            call = await process.start(tasks, "k", work, 1)
            closing.go.set()
            await settle()
            closing.cancel()
            await settle()
            assert closing.outcome is CANCELLED
            work.go.set()
            await settle()
            assert call.value == 1
        process.assert_settled()

    async def test_an_interrupt_while_it_waits_comes_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Interrupted:
            async def wait(self) -> None:
                raise KeyboardInterrupt

            def set(self) -> None: ...

        process, work = Process(MemoryStore()), Work()
        async with anyio.create_task_group() as tasks:
            await process.__aenter__()
            call = await process.start(tasks, "k", work, 1)
            monkeypatch.setattr("anyflight.lease._core.Event", Interrupted)
            with pytest.raises(KeyboardInterrupt):
                await process.__aexit__(None, None, None)
            work.go.set()
            await settle()
            assert call.value == 1
        process.assert_settled()


class TestLeftByAnError:
    """The calls belong to other tasks than the block: they go on, without the lease."""

    async def test_the_error_comes_out_as_it_is(self) -> None:
        process, error = Process(MemoryStore()), ValueError("broken")
        with pytest.raises(ValueError, match="broken") as caught:
            async with process:
                raise error
        assert caught.value is error
        with pytest.raises(anyio.ClosedResourceError):
            await process.lease.execute("k", at_once)
        process.assert_settled()

    async def test_work_goes_on_to_its_end_and_its_outcome_is_shared_if_it_comes_in_time(
        self, clock: HandClock
    ) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory, ttl=9), Process(memory)
        async with two, anyio.create_task_group() as tasks:
            closing = await block(tasks, one, ValueError("broken"))
            first = await one.start(tasks, "k", work, 1)
            second = await two.start(tasks, "k", work, 2)
            closing.go.set()
            await settle()
            assert isinstance(closing.outcome, ValueError)
            work.go.set()
            await settle()
            assert first.value == second.value == 1
        one.assert_settled()

    async def test_work_is_not_cancelled_because_nobody_renews_its_lease(
        self, clock: HandClock
    ) -> None:
        memory, work, other = MemoryStore(), Work(), Work()
        one, two = Process(memory, ttl=9), Process(memory)
        async with two, anyio.create_task_group() as tasks:
            closing = await block(tasks, one, ValueError("broken"))
            first = await one.start(tasks, "k", work, 1)
            closing.go.set()
            await settle()
            clock.advance(10)
            await settle()
            assert work.running == 1
            second = await two.start(tasks, "k", other, 2)
            assert other.running == 1
            work.go.set()
            other.go.set()
            await settle()
            assert (first.value, second.value) == (1, 2)
        assert one.counts.renewals == 0
        one.assert_settled()

    async def test_calls_that_wait_are_refused(self, clock: HandClock) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory)
        async with two, anyio.create_task_group() as tasks:
            await two.start(tasks, "k", work, 2)
            closing = await block(tasks, one, ValueError("broken"))
            call = await one.start(tasks, "k", at_once)
            closing.go.set()
            await settle()
            clock.advance(1)
            await settle()
            assert isinstance(call.outcome, FlightCancelledError)
            work.go.set()
        one.assert_settled()

    async def test_a_call_that_is_just_being_answered_is_refused_and_leaves_no_lease(
        self, clock: HandClock
    ) -> None:
        memory = MemoryStore()
        process = Process(memory)
        async with anyio.create_task_group() as tasks:
            closing = await block(tasks, process, ValueError("broken"))
            gate = process.store.after["acquire"] = anyio.Event()
            call = await process.start(tasks, "k", at_once)
            closing.go.set()
            await settle()
            gate.set()
            await settle()
            assert isinstance(call.outcome, FlightCancelledError)
            assert len(memory) == 0
        process.assert_settled()


async def test_a_cancelled_opening_leaves_nothing(clock: HandClock) -> None:
    process, caller = Process(MemoryStore()), Caller()
    process.store.before["check"] = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller.run, "scope", process.lease.__aenter__)
        await settle()
        caller.cancel()
        await settle()
        assert caller.outcome is CANCELLED
    process.store.before.clear()
    async with process:
        assert await process.lease.execute("k", at_once) == 1
