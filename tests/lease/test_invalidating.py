"""An invalidation voids what is being done for a key, in all processes."""

from __future__ import annotations

import anyio
import pytest

from anyflight import Coalescer
from anyflight.lease import MemoryStore, RequestRefusedError
from tests.lease.leasing import Process
from tests.support import CANCELLED, PENDING, Caller, HandClock, Work, settle, start

pytestmark = pytest.mark.anyio

WHO = pytest.mark.parametrize("who", ["leader", "other"])


async def at_once(value: object = 1) -> object:
    return value


@WHO
async def test_what_runs_goes_on_for_its_own_call_and_those_who_wait_get_something_newer(
    who: str,
) -> None:
    memory, old, new = MemoryStore(), Work(), Work()
    one, two, three = (Process(memory) for _ in range(3))
    async with one, two, three, anyio.create_task_group() as tasks:
        first = await one.start(tasks, "k", old, "old")
        second = await two.start(tasks, "k", new, "new")
        await (one if who == "leader" else three).lease.invalidate("k")
        await settle()
        assert (old.running, new.running) == (1, 1)
        old.go.set()
        await settle()
        assert first.value == "old"
        assert second.outcome is PENDING
        new.go.set()
        await settle()
        assert second.value == "new"
    assert (one.counts.fenced, one.counts.lost, one.counts.ran) == (1, 0, 1)
    one.assert_settled()
    two.assert_settled()


async def test_so_do_those_who_wait_in_the_process_where_it_runs() -> None:
    memory, old, new = MemoryStore(), Work(), Work()
    process = Process(memory)
    async with process, anyio.create_task_group() as tasks:
        first = await process.start(tasks, "k", old, "old")
        second = await process.start(tasks, "k", new, "new")
        await process.lease.invalidate("k")
        await settle()
        new.go.set()
        await settle()
        assert (first.outcome, second.value) == (PENDING, "new")
        old.go.set()
        await settle()
        assert first.value == "old"


@WHO
async def test_a_call_that_comes_afterwards_runs_at_once(who: str) -> None:
    memory, old = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", old, "old")
        await (one if who == "leader" else two).lease.invalidate("k")
        assert await two.lease.execute("k", at_once, "new") == "new"
        assert await one.lease.execute("k", at_once, "newer") == "newer"
        old.go.set()


async def test_an_outcome_that_is_there_already_is_used_by_nobody() -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", work, "old")
        late = await two.start(tasks, "k", at_once, "new")
        two.store.before["acquire"] = gate = anyio.Event()
        work.go.set()
        await settle()
        await one.lease.invalidate("k")
        gate.set()
        await settle()
        assert late.value == "new"


async def test_an_error_is_fenced_as_a_value_is() -> None:
    memory, old = MemoryStore(), Work(fail=ValueError("old"))
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        first = await one.start(tasks, "k", old)
        second = await two.start(tasks, "k", at_once, "new")
        await one.lease.invalidate("k")
        old.go.set()
        await settle()
        assert isinstance(first.outcome, ValueError)
        assert second.value == "new"
    assert one.counts.fenced == 1


async def test_it_may_come_while_the_outcome_is_committed() -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        first = await one.start(tasks, "k", work, "old")
        second = await two.start(tasks, "k", at_once, "new")
        one.store.before["commit"] = gate = anyio.Event()
        work.go.set()
        await settle()
        await two.lease.invalidate("k")
        await settle()
        gate.set()
        await settle()
        assert first.value == "old"
        assert second.value == "new"
    assert one.counts.fenced == 1


async def test_a_fresh_call_goes_on_waiting_for_what_comes_afterwards() -> None:
    memory, old, new = MemoryStore(), Work(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", old, "old")
        fresh = await two.start(tasks, "k", new, "new", fresh=True)
        await one.lease.invalidate("k")
        new.go.set()
        await settle()
        assert fresh.value == "new"
        old.go.set()


async def test_another_key_has_nothing_to_do_with_it() -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        first = await one.start(tasks, "k", work, 1)
        second = await two.start(tasks, "k", work)
        await one.lease.invalidate("other")
        work.go.set()
        await settle()
        assert first.value == second.value == 1


class TestRenewals:
    @WHO
    async def test_work_whose_lease_is_void_is_neither_cancelled_nor_its_lease_renewed(
        self, clock: HandClock, who: str
    ) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory, ttl=9), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            call = await one.start(tasks, "k", work, 1)
            await (one if who == "leader" else two).lease.invalidate("k")
            for _ in range(10):
                clock.advance(3)
                await settle()
            assert (work.running, one.store.requests.count("renew")) == (1, 1)
            work.go.set()
            await settle()
            assert call.value == 1
        assert (one.counts.lost, one.counts.fenced) == (0, 1)
        one.assert_settled()

    async def test_a_lease_that_was_won_afterwards_is_kept_although_the_message_comes_later(
        self, clock: HandClock
    ) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory, ttl=9), Process(memory, ttl=9)
        async with one, two, anyio.create_task_group() as tasks:
            one.store.held_back = []
            await two.lease.invalidate("k")
            call = await one.start(tasks, "k", work, 1)
            one.store.hear_late()
            for _ in range(10):
                clock.advance(3)
                await settle()
            other = await two.start(tasks, "k", work)
            work.go.set()
            await settle()
            assert call.value == other.value == 1
        assert (one.counts.renewals, one.counts.committed) == (10, 1)

    async def test_nor_is_it_if_the_message_comes_before_it_is_known_that_the_lease_was_won(
        self, clock: HandClock
    ) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory, ttl=9), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            gate = one.store.after["acquire"] = anyio.Event()
            call = await one.start(tasks, "k", work, 1)
            await two.lease.invalidate("k")
            await settle()
            gate.set()
            await settle()
            for _ in range(10):
                clock.advance(3)
                await settle()
            assert work.running == 1
            work.go.set()
            await settle()
            assert call.value == 1
        assert (one.counts.lost, one.counts.fenced) == (0, 1)

    async def test_a_lease_that_was_renewed_after_the_message_may_be_lost_as_any_other(
        self, clock: HandClock
    ) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        one, two = Process(memory, ttl=9), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            one.store.held_back = []
            await two.lease.invalidate("k")
            await settle()
            call = await one.start(tasks, "k", old, "old")
            one.store.hear_late()
            clock.advance(3)
            await settle()
            assert one.counts.renewals == 1
            memory._states.clear()
            second = await two.start(tasks, "k", new, "new")
            clock.advance(3)
            await settle()
            assert old.cancelled == 1
            new.go.set()
            await settle()
            assert call.value == second.value == "new"

    async def test_if_it_goes_unheard_the_work_is_cancelled_and_the_call_takes_part_again(
        self, clock: HandClock
    ) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory, ttl=9), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            call = await one.start(tasks, "k", work, 1)
            one.store.held_back = []
            await two.lease.invalidate("k")
            clock.advance(3)
            await settle()
            assert (work.cancelled, len(work.calls)) == (1, 2)
            work.go.set()
            await settle()
            assert call.value == 1
        assert (one.counts.lost, one.counts.committed) == (1, 1)


class TestWithoutALease:
    @pytest.mark.parametrize("who", ["here", "there"])
    async def test_work_is_not_joined_while_what_it_may_have_won_is_given_back(
        self, who: str
    ) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        one, two = Process(memory), Process(memory)
        flights = Coalescer[str, str](across=one.lease)
        async with one, two, flights, anyio.create_task_group() as tasks:
            one.store.fails["acquire"] = RequestRefusedError("OOM")
            gate = one.store.before["release"] = anyio.Event()
            first = await start(tasks, flights, "k", old, "old")
            old.go.set()
            await settle()
            del one.store.fails["acquire"]
            await (one if who == "here" else two).lease.invalidate("k")
            await settle()
            second = await start(tasks, flights, "k", new, "new")
            new.go.set()
            gate.set()
            await settle()
            assert (first.value, second.value) == ("old", "new")


class TestListeners:
    class Listener:
        def __init__(self) -> None:
            self.names: list[str] = []

        def invalidated(self, name: str) -> None:
            self.names.append(name)

        def interrupted(self) -> None:
            raise NotImplementedError

    async def test_each_is_told_once_wherever_it_came_from(self) -> None:
        memory = MemoryStore()
        one, two = Process(memory, encode_key=str), Process(memory)
        listeners = [self.Listener(), self.Listener()]
        for process, listener in zip((one, two), listeners, strict=True):
            process.lease.core.listeners.add(listener)
        async with one, two:
            await one.lease.invalidate(1)
            await two.lease.invalidate("2")
        assert [listener.names for listener in listeners] == [["1", "2"], ["1", "2"]]

    async def test_those_here_are_told_although_the_server_cannot_be(self) -> None:
        process, listener = Process(MemoryStore()), self.Listener()
        process.lease.core.listeners.add(listener)
        async with process:
            process.store.fails["invalidate"] = ConnectionError("down")
            with pytest.raises(Exception, match="could not be asked"):
                await process.lease.invalidate("k")
        assert listener.names == ["k"]

    async def test_those_here_are_told_when_it_is_cancelled(self) -> None:
        process, listener = Process(MemoryStore()), self.Listener()
        process.lease.core.listeners.add(listener)
        async with process, anyio.create_task_group() as tasks:
            gate = process.store.before["invalidate"] = anyio.Event()

            call = Caller()
            tasks.start_soon(call.run, "native", lambda: process.lease.invalidate("k"))
            await settle()
            call.cancel()
            await settle()
            gate.set()
            await settle()
            assert call.outcome in {CANCELLED, None}
        assert listener.names == ["k"]

    async def test_one_that_is_gone_is_not(self) -> None:
        process = Process(MemoryStore())
        process.lease.core.listeners.add(self.Listener())
        async with process:
            await process.lease.invalidate("k")
