"""Calls for one key share one execution, in however many processes they are made."""

from __future__ import annotations

import anyio
import pytest
import trio.testing

from anyflight.lease import Lease, MemoryStore
from tests.lease.leasing import Process
from tests.support import HandClock, Work, settle

pytestmark = pytest.mark.anyio


async def at_once(value: int = 1) -> int:
    return value


async def test_calls_of_all_processes_share_one_execution() -> None:
    memory, work = MemoryStore(), Work()
    fleet = [Process(memory) for _ in range(3)]
    async with fleet[0], fleet[1], fleet[2], anyio.create_task_group() as tasks:
        calls = [
            await process.start(tasks, "k", work, number)
            for number in range(2)
            for process in fleet
        ]
        assert len(work.calls) == 1
        work.go.set()
        await settle()
        assert [call.value for call in calls] == [0] * 6
    assert len(work.calls) == 1
    assert [process.counts.ran for process in fleet] == [1, 0, 0]
    assert [process.counts.shared for process in fleet] == [1, 2, 2]
    for process in fleet:
        process.assert_settled()


async def test_calls_for_other_keys_run_at_the_same_time() -> None:
    process, work = Process(MemoryStore()), Work()
    async with process, anyio.create_task_group() as tasks:
        one = await process.start(tasks, "one", work, 1)
        two = await process.start(tasks, "two", work, 2)
        assert work.running == 2
        work.go.set()
        await settle()
        assert (one.value, two.value) == (1, 2)


async def test_a_call_alone_asks_the_server_twice_and_leaves_nothing_there() -> None:
    memory = MemoryStore()
    process = Process(memory)
    async with process:
        del process.store.requests[:]
        assert await process.lease.execute("k", at_once) == 1
        assert process.store.requests == ["acquire", "commit"]
        assert len(memory) == 0
    process.assert_settled()


async def test_a_call_that_waits_is_woken_by_the_end_and_asks_once_more() -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", work, 1)
        del two.store.requests[:]
        await two.start(tasks, "k", work)
        work.go.set()
        await settle()
    assert two.store.requests == ["acquire", "acquire"]
    assert (two.counts.woken, two.counts.polls) == (1, 0)


async def test_a_call_after_the_end_runs_its_own_function() -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", work, "old")
        await two.start(tasks, "k", work)
        work.go.set()
        await settle()
        assert len(memory) == 1  # the outcome is there still, for those who waited
        assert await two.lease.execute("k", work, "new") == "new"


async def test_who_waited_when_the_work_ended_may_come_late(clock: HandClock) -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", work, "first")
        late = await two.start(tasks, "k", work)
        two.store.before["acquire"] = anyio.Event()
        work.go.set()
        await settle()
        assert await one.lease.execute("k", at_once, 2) == 2  # a newer epoch, of no outcome
        two.store.before["acquire"].set()
        await settle()
        assert late.value == "first"


async def test_of_those_who_wait_for_a_call_that_leaves_one_takes_its_place() -> None:
    memory, work = MemoryStore(), Work()
    fleet = [Process(memory) for _ in range(3)]
    async with fleet[0], fleet[1], fleet[2], anyio.create_task_group() as tasks:
        calls = [await process.start(tasks, "k", work, n) for n, process in enumerate(fleet)]
        calls[0].cancel()
        await settle()
        assert work.running == 1
        assert len(work.calls) == 2
        work.go.set()
        await settle()
        assert calls[1].value == calls[2].value == work.calls[1][0]
    assert len(work.calls) == 2


class TestFresh:
    async def test_a_fresh_call_uses_no_outcome_of_what_had_begun(self) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        one, two = Process(memory), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            first = await one.start(tasks, "k", old, "old")
            fresh = await two.start(tasks, "k", new, "new", fresh=True)
            other = await one.start(tasks, "k", new, "other", fresh=True)
            plain = await two.start(tasks, "k", new, "plain")
            assert new.calls == []
            old.go.set()
            await settle()
            assert first.value == plain.value == "old"
            assert len(new.calls) == 1  # the fresh calls share one
            new.go.set()
            await settle()
            assert fresh.value == other.value == new.calls[0][0]
        assert old.most_running == new.most_running == 1

    async def test_a_fresh_call_runs_at_once_if_nobody_does(self) -> None:
        memory = MemoryStore()
        process = Process(memory)
        async with process:
            assert await process.lease.execute("k", at_once, 2, fresh=True) == 2
        assert process.counts.ran == 1

    async def test_a_fresh_call_may_use_what_begins_while_it_waits(self) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        one, two, three = (Process(memory) for _ in range(3))
        async with one, two, three, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", old, "old")
            fresh = await two.start(tasks, "k", at_once, "fresh", fresh=True)
            two.store.before["acquire"] = anyio.Event()
            old.go.set()
            await settle()
            later = await three.start(tasks, "k", new, "later")
            two.store.before["acquire"].set()
            await settle()
            new.go.set()
            await settle()
            assert fresh.value == later.value == "later"


class TestCheckpoints:
    async def test_a_call_notices_that_it_is_cancelled_already(self) -> None:
        process, work = Process(MemoryStore()), Work()
        work.go.set()
        async with process:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await process.lease.execute("k", work)
            assert scope.cancelled_caught
        assert work.calls == []
        assert process.counts.given_up == 1
        process.assert_settled()

    async def test_a_call_that_is_refused_yields(self, anyio_backend_name: str) -> None:
        if anyio_backend_name != "trio":
            return
        lease = Lease[str](MemoryStore())
        async with lease:
            with trio.testing.assert_checkpoints():
                await lease.execute("k", at_once)
        with trio.testing.assert_checkpoints(), pytest.raises(anyio.ClosedResourceError):
            await lease.execute("k", at_once)
