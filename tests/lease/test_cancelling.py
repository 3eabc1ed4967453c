"""A call can be cancelled at every point, in every way, and no lease is left behind."""

from __future__ import annotations

from functools import partial

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyflight.lease import Busy, LeaseUnavailableError, MemoryStore, Won
from tests.lease.leasing import Process
from tests.support import CANCELLED, PENDING, WAYS, Caller, HandClock, Work, settle

pytestmark = pytest.mark.anyio


def breaks_in(way: str, anyio_backend_name: str) -> bool:
    """Whether such a cancellation breaks into what is shielded from those of anyio."""
    return anyio_backend_name == "asyncio" and way.startswith("native")


async def is_free(memory: MemoryStore) -> bool:
    return isinstance(await memory.acquire("k", "next", ttl=1, since=0), Won)


async def test_before_it_has_begun() -> None:
    memory, work = MemoryStore(), Work()
    process = Process(memory)
    async with process:
        for fresh in (False, True):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await process.lease.execute("k", work, fresh=fresh)
            assert scope.cancelled_caught
        assert await is_free(memory)
    assert work.calls == []
    process.assert_settled()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("gates", ["before", "after"])
async def test_while_the_server_is_asked(gates: str, way: str, anyio_backend_name: str) -> None:
    memory, work = MemoryStore(), Work()
    process = Process(memory)
    async with process, anyio.create_task_group() as tasks:
        gate = getattr(process.store, gates)["acquire"] = anyio.Event()
        call = await process.start(tasks, "k", work, way=way)
        call.cancel()
        await settle()
        assert call.outcome is (CANCELLED if breaks_in(way, anyio_backend_name) else PENDING)
        gate.set()
        await settle()
        assert call.outcome is CANCELLED
        assert process.store.requests[-2:] == ["acquire", "release"]
        assert await is_free(memory)
    assert work.calls == []
    assert (process.counts.given_up, process.counts.calls) == (1, 1)
    process.assert_settled()


@pytest.mark.parametrize("way", WAYS)
async def test_with_the_answer(way: str) -> None:
    memory, work = MemoryStore(), Work()
    process = Process(memory)
    async with process, anyio.create_task_group() as tasks:
        gate = process.store.after["acquire"] = anyio.Event()
        call = await process.start(tasks, "k", work, way=way)
        gate.set()
        call.cancel()
        await settle()
        assert call.outcome is CANCELLED
        assert await is_free(memory)
    assert work.running == 0  # a timeout of asyncio comes some turns later
    process.assert_settled()


@pytest.mark.parametrize("way", WAYS)
async def test_while_it_waits(way: str) -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        first = await one.start(tasks, "k", work, 1)
        second = await two.start(tasks, "k", work, way=way)
        third = await two.start(tasks, "k", work)
        second.cancel()
        await settle()
        assert second.outcome is CANCELLED
        assert two.store.requests[-2:] == ["acquire", "acquire"]  # there is nothing to give back
        work.go.set()
        await settle()
        assert first.value == third.value == 1
    two.assert_settled()


@pytest.mark.parametrize("way", WAYS)
async def test_in_the_work(way: str) -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        first = await one.start(tasks, "k", work, 1, way=way)
        second = await two.start(tasks, "k", work, 2)
        first.cancel()
        await settle()
        assert first.outcome is CANCELLED
        assert (work.cancelled, work.running, two.counts.woken) == (1, 1, 1)
        work.go.set()
        await settle()
        assert second.value == 2
    assert (one.counts.given_up, one.counts.lost) == (1, 0)
    one.assert_settled()


@pytest.mark.parametrize("way", WAYS)
async def test_the_lease_is_kept_until_the_work_has_cleaned_up(clock: HandClock, way: str) -> None:
    memory, work = MemoryStore(), Work(slow_cleanup=True)
    process = Process(memory, ttl=9)
    async with process, anyio.create_task_group() as tasks:
        call = await process.start(tasks, "k", work, way=way)
        call.cancel()
        await settle()
        for _ in range(5):
            clock.advance(3)
            await settle()
        assert process.counts.renewals == 5
        assert not await is_free(memory)
        work.cleaned_up.set()
        await settle()
        assert call.outcome is CANCELLED
        assert await is_free(memory)
    process.assert_settled()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("gates", ["before", "after"])
async def test_while_the_outcome_is_committed(
    gates: str, way: str, anyio_backend_name: str
) -> None:
    memory, work, other = MemoryStore(), Work(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        gate = getattr(one.store, gates)["commit"] = anyio.Event()
        first = await one.start(tasks, "k", work, 1, way=way)
        second = await two.start(tasks, "k", other, 2)
        work.go.set()
        await settle()
        first.cancel()
        await settle()
        breaks = breaks_in(way, anyio_backend_name)
        assert first.outcome is (CANCELLED if breaks else PENDING)
        gate.set()
        other.go.set()
        await settle()
        # What has been brought to its end counts, whatever came meanwhile.
        assert first.outcome == (CANCELLED if breaks else 1)
        assert second.value == (2 if breaks and gates == "before" else 1)
        assert await is_free(memory)
    one.assert_settled()
    two.assert_settled()


@pytest.mark.parametrize("way", WAYS)
async def test_with_the_answer_to_the_commit(way: str) -> None:
    memory, work = MemoryStore(), Work()
    process = Process(memory)
    async with process, anyio.create_task_group() as tasks:
        gate = process.store.after["commit"] = anyio.Event()
        call = await process.start(tasks, "k", work, 1, way=way)
        work.go.set()
        await settle()
        gate.set()
        call.cancel()
        await settle()
        assert call.outcome in {1, CANCELLED}
        assert await is_free(memory)
    process.assert_settled()


@pytest.mark.parametrize("way", ["scope", "native"])
async def test_a_second_time_while_the_lease_is_given_back(way: str) -> None:
    memory, work = MemoryStore(), Work()
    process = Process(memory)
    async with process, anyio.create_task_group() as tasks:
        gate = process.store.after["release"] = anyio.Event()
        call = await process.start(tasks, "k", work, way=way)
        call.cancel()
        await settle()
        assert await is_free(memory)
        call.cancel()
        await settle()
        gate.set()
        await settle()
        assert call.outcome is CANCELLED
    process.assert_settled()


@pytest.mark.parametrize("way", WAYS)
async def test_in_work_that_runs_without_a_lease(way: str) -> None:
    process, work = Process(MemoryStore()), Work()
    process.store.down = ConnectionError("down")
    async with process, anyio.create_task_group() as tasks:
        call = await process.start(tasks, "k", work, way=way)
        assert work.running == 1
        call.cancel()
        await settle()
        assert call.outcome is CANCELLED
    assert (process.counts.given_up, process.counts.ran_unreachable) == (1, 0)
    process.assert_settled()


@pytest.mark.parametrize("way", WAYS)
async def test_after_the_lease_was_lost(clock: HandClock, way: str) -> None:
    memory, work = MemoryStore(), Work(slow_cleanup=True)
    process = Process(memory, ttl=9)
    async with process, anyio.create_task_group() as tasks:
        call = await process.start(tasks, "k", work, way=way)
        memory._states.clear()
        clock.advance(3)
        await settle()
        assert work.cancelled == 1
        call.cancel()
        await settle()
        work.cleaned_up.set()
        await settle()
        assert call.outcome is CANCELLED
        assert await is_free(memory)
    assert len(work.calls) == 1
    process.assert_settled()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("who", ["leader", "waiter"])
async def test_after_any_number_of_steps(who: str, way: str) -> None:
    async def short(value: int) -> int:
        for _ in range(3):
            await checkpoint()
        return value

    for steps in range(16):
        memory = MemoryStore()
        one, two = Process(memory), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            calls = [Caller(), Caller()]
            for process, call in zip((one, two), calls, strict=True):
                execute = partial(process.lease.execute, "k", short, 1)
                tasks.start_soon(call.run, way, execute)
                await checkpoint()
            for _ in range(steps):
                await checkpoint()
            cancelled, other = calls if who == "leader" else reversed(calls)
            while not hasattr(cancelled, "cancel"):  # Trio's tasks take their turns in any order
                await checkpoint()
            if cancelled.outcome is PENDING:
                cancelled.cancel()
            await settle()
            assert cancelled.outcome is CANCELLED or cancelled.value is not None
            assert other.value is not None
            assert await is_free(memory)
        one.assert_settled()
        two.assert_settled()


async def test_a_call_in_a_scope_that_is_cancelled_asks_nobody() -> None:
    process = Process(MemoryStore())
    async with process:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await process.lease.execute("k", Work())
        assert scope.cancelled_caught
        assert process.store.requests == ["check", "listen"]
    assert process.counts.given_up == 1


async def test_a_coroutine_that_is_closed_waits_for_nothing(anyio_backend_name: str) -> None:
    """As when the event loop is gone."""
    if anyio_backend_name == "trio":
        return  # whose coroutines cannot be moved by hand
    process = Process(MemoryStore())
    async with process:
        process.store.before["acquire"] = anyio.Event()
        call = process.lease.execute("k", Work())
        while "acquire" not in process.store.requests:
            call.send(None)
        call.close()
        assert process.counts.taking_part == 0
        assert "release" not in process.store.requests


class TestServerThatDoesNotAnswer:
    async def test_a_request_is_waited_for_no_longer_than_it_may_take(
        self, clock: HandClock
    ) -> None:
        process, work = Process(MemoryStore(), request_timeout=2), Work()
        async with process, anyio.create_task_group() as tasks:
            process.store.before["acquire"] = anyio.Event()
            call = await process.start(tasks, "k", work)
            call.cancel()
            clock.advance(1.9)
            await settle()
            assert call.outcome is PENDING
            clock.advance(0.1)
            await settle()
            assert call.outcome is CANCELLED
        assert work.calls == []
        process.assert_settled()

    async def test_nor_is_that_which_gives_back_the_lease(self, clock: HandClock) -> None:
        process, work = Process(MemoryStore(), request_timeout=2), Work()
        async with process, anyio.create_task_group() as tasks:
            process.store.before["release"] = anyio.Event()
            call = await process.start(tasks, "k", work)
            call.cancel()
            await settle()
            clock.advance(1.9)
            await settle()
            assert call.outcome is PENDING
            clock.advance(0.1)
            await settle()
            assert call.outcome is CANCELLED
        process.assert_settled()

    async def test_a_lease_that_cannot_be_given_back_ends_by_itself(self, clock: HandClock) -> None:
        memory, work = MemoryStore(), Work()
        process = Process(memory, ttl=9)
        async with process, anyio.create_task_group() as tasks:
            process.store.fails["release"] = ConnectionError("reset")
            call = await process.start(tasks, "k", work)
            call.cancel()
            await settle()
            assert call.outcome is CANCELLED
            assert isinstance(await memory.acquire("k", "next", ttl=1, since=0), Busy)
            clock.advance(9)
            assert await is_free(memory)

    async def test_a_refusal_comes_before_the_cancellation(self, clock: HandClock) -> None:
        process = Process(MemoryStore(), on_unreachable="raise")
        async with process, anyio.create_task_group() as tasks:
            process.store.before["acquire"] = anyio.Event()
            call = await process.start(tasks, "k", Work())
            call.cancel()
            clock.advance(1)
            await settle()
            assert isinstance(call.outcome, LeaseUnavailableError)
        process.assert_settled()


async def test_a_scope_inside_the_work_is_the_works_own_business() -> None:
    async def impatient() -> str:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep_forever()
        return "gave up"

    process = Process(MemoryStore())
    async with process:
        assert await process.lease.execute("k", impatient) == "gave up"
    assert process.counts.committed == 1


async def test_the_callers_scope_is_told_of_it() -> None:
    process, work = Process(MemoryStore()), Work()
    async with process, anyio.create_task_group() as tasks:
        call = Caller()

        async def within() -> str:
            with anyio.CancelScope() as scope:
                call.cancel = scope.cancel
                await process.lease.execute("k", work)
            return "caught" if scope.cancelled_caught else "missed"

        async def run() -> None:
            call.outcome = await within()

        tasks.start_soon(run)
        await settle()
        call.cancel()
        await settle()
        assert call.outcome == "caught"
