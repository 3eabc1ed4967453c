"""The one subscription of a process: it is had again when it is lost, and nothing hangs on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import anyio
import coredis
import pytest
from anyio.lowlevel import checkpoint

from anyflight.lease import Hear, Lease, MemoryStore, Notice
from anyflight.lease.valkey import ValkeyLease, ValkeyStore
from servers.valkey import ValkeyServer
from tests.lease.leasing import Process
from tests.support import PENDING, HandClock, Work, settle

pytestmark = pytest.mark.anyio


async def at_once(value: int = 1) -> int:
    return value


async def test_there_is_one_however_many_calls_wait() -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        for number in range(5):
            await one.start(tasks, f"{number}", work)
            await two.start(tasks, f"{number}", work)
        assert two.store.subscriptions == 1
        work.go.set()
    assert two.counts.reconnects == 0


async def test_it_is_live_before_anything_is_asked() -> None:
    process = Process(MemoryStore())
    async with process:
        await process.lease.execute("k", at_once)
    assert process.store.requests[:3] == ["check", "listen", "acquire"]


class TestMissedMessages:
    async def test_one_costs_one_poll(self, clock: HandClock) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory, poll_interval=5)
        async with one, two, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work, 1)
            call = await two.start(tasks, "k", at_once)
            two.store.held_back = []
            work.go.set()
            clock.advance(4.9)
            await settle()
            assert call.outcome is PENDING
            clock.advance(0.1)
            await settle()
            assert call.value == 1
        assert (two.counts.polls, two.counts.woken, two.counts.shared) == (1, 0, 1)

    async def test_who_waits_asks_when_the_lease_would_end_if_that_is_sooner(
        self, clock: HandClock
    ) -> None:
        memory, work = MemoryStore(), Work()
        process = Process(memory, poll_interval=5)
        await memory.acquire("k", "gone", ttl=2, since=0)
        async with process, anyio.create_task_group() as tasks:
            call = await process.start(tasks, "k", work, 1)
            clock.advance(3.2)
            await settle()
            assert work.calls == []
            clock.advance(0.05)  # and a quarter of the poll interval later, at most
            await settle()
            assert work.calls == [(1,)]
            work.go.set()
            await settle()
            assert call.value == 1

    async def test_polls_are_spread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ranges: list[tuple[float, float]] = []

        def uniform(least: float, most: float) -> float:
            ranges.append((least, most))
            return least

        monkeypatch.setattr("anyflight.lease._participation.random.uniform", uniform)
        memory, work = MemoryStore(), Work()
        process = Process(memory)
        await memory.acquire("k", "other", ttl=10, since=0)
        async with process, anyio.create_task_group() as tasks:
            await process.start(tasks, "k", work)
            tasks.cancel_scope.cancel()
        assert {(0.5, 1), (0, 0.25)} <= {*ranges}

    async def test_one_about_another_key_wakes_nobody(self, clock: HandClock) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work, 1)
            await two.start(tasks, "k", work)
            await memory.invalidate("other", "somebody")
            await settle()
            assert (two.counts.woken, two.store.requests.count("acquire")) == (0, 1)
            work.go.set()

    async def test_one_that_comes_while_the_server_is_asked_is_not_missed(
        self, clock: HandClock
    ) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work, 1)
            two.store.after["acquire"] = gate = anyio.Event()
            call = await two.start(tasks, "k", work)
            work.go.set()
            await settle()
            gate.set()
            await settle()
            assert call.value == 1
        assert two.counts.woken == 1

    async def test_one_too_many_costs_a_request(self, clock: HandClock) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work, 1)
            call = await two.start(tasks, "k", work)
            two.store._pass_on(Notice("k"))
            await settle()
            assert call.outcome is PENDING
            assert two.store.requests.count("acquire") == 2
            work.go.set()


class TestLosing:
    async def test_it_is_had_again_and_calls_go_on_meanwhile(self, clock: HandClock) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            await one.start(tasks, "k", work, 1)
            two.store.cut()
            await settle()
            call = await two.start(tasks, "k", work)
            assert two.store.subscriptions == 1
            clock.advance(0.05)
            await settle()
            assert (two.store.subscriptions, two.counts.reconnects) == (2, 1)
            work.go.set()
            await settle()
            assert (call.value, two.counts.woken) == (1, 1)
        assert (two.counts.failures, two.counts.outages) == (0, 0)

    async def test_one_that_ends_without_an_error_is_lost_too(self, clock: HandClock) -> None:
        class Brief(MemoryStore):
            async def listen(self, hear: Any, live: Callable[[], None]) -> None:
                live()

        process = Process(Brief())
        async with process:
            for _ in range(3):
                clock.advance(1)
                await settle()
        assert process.counts.reconnects >= 2

    async def test_after_one_that_has_lasted_it_is_tried_again_at_once(
        self, clock: HandClock
    ) -> None:
        process = Process(MemoryStore())
        async with process:
            for count in range(1, 5):
                clock.advance(1.5)
                process.store.cut()
                await settle()
                clock.advance(0.05)
                await settle()
                assert process.counts.reconnects == count

    async def test_after_one_that_has_not_it_is_tried_less_and_less_often(
        self, clock: HandClock
    ) -> None:
        process = Process(MemoryStore(), retry_interval=1)
        async with process:
            for pause in (0.05, 0.1, 0.2, 0.4, 0.8, 1, 1):
                process.store.cut()
                await settle()
                before = process.store.subscriptions
                clock.advance(pause * 0.99)
                await settle()
                assert process.store.subscriptions == before
                clock.advance(pause * 0.011)
                await settle()
                assert process.store.subscriptions == before + 1

    async def test_those_who_must_know_are_told_that_something_may_have_gone_unheard(
        self, clock: HandClock
    ) -> None:
        class Listener:
            interruptions = 0

            def invalidated(self, name: str) -> None:
                raise NotImplementedError

            def interrupted(self) -> None:
                self.interruptions += 1

        process, listener = Process(MemoryStore()), Listener()
        process.lease.core.listeners.add(listener)
        async with process:
            assert listener.interruptions == 0
            process.store.cut()
            await settle()
            assert listener.interruptions == 0
            clock.advance(0.05)
            await settle()
            assert listener.interruptions == 1


class TestServerWithoutAny:
    @pytest.mark.parametrize("group", [False, True])
    async def test_calls_are_shared_by_asking_again_and_it_is_warned_of_once(
        self, clock: HandClock, caplog: pytest.LogCaptureFixture, group: bool
    ) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory, name="users")
        error: Exception = ConnectionError("no such command")
        two.store.fails["listen"] = ExceptionGroup("group", [error]) if group else error
        with caplog.at_level(logging.INFO, "anyflight"):
            async with one, two, anyio.create_task_group() as tasks:
                await one.start(tasks, "k", work, 1)
                for _ in range(10):
                    clock.advance(1)
                    await settle()
                call = await two.start(tasks, "k", at_once)
                work.go.set()
                await settle()
                clock.advance(1)
                await settle()
                assert call.value == 1
        (record,) = caplog.records
        assert record.getMessage() == (
            "Lease 'users': no subscription can be had (ConnectionError: no such command); until "
            "one can, calls that wait ask again and again, and invalidations by other processes "
            "go unheard"
        )
        assert (two.counts.outages, two.counts.ran_unreachable) == (0, 0)
        assert two.counts.failures >= 10

    async def test_one_that_goes_down_after_the_check_is_not_warned_of(
        self, clock: HandClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        process = Process(MemoryStore())
        process.store.fails["listen"] = ConnectionError("reset")
        async with process:
            process.store.fails.clear()
            clock.advance(0.05)
            await settle()
            assert process.counts.reconnects == 1
        assert caplog.records == []

    async def test_one_that_never_answers_is_asked_again(
        self, clock: HandClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        process = Process(MemoryStore())
        async with process:
            gate = process.store.before["listen"] = anyio.Event()
            process.store.cut()
            await settle()
            for asked in range(1, 4):
                clock.advance(1)  # the pause
                await settle()
                assert process.store.requests.count("listen") == 1 + asked
                clock.advance(1)
                await settle()
            (record,) = caplog.records
            assert "no subscription can be had (TimeoutError); until" in record.getMessage()
            gate.set()
            clock.advance(1)
            await settle()
            assert process.counts.reconnects == 1
            clock.advance(100)  # it may last as long as it will
            await settle()
            assert process.store.subscriptions == 2


class Unhappy:
    """What a store that hears in tasks of its own may raise when it is cancelled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def __call__(self, hear: Hear, live: Callable[[], None]) -> None:
        live()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as exc:
            raise BaseExceptionGroup("of both", [exc, self.error]) from None


async def test_it_is_opened_without_a_word_to_others(server: ValkeyServer, namespace: str) -> None:
    heard: list[Notice] = []
    client = coredis.Redis(host=server.host, port=server.port)
    async with client:
        store = ValkeyStore(client, namespace)
        live = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.listen, heard.append, live.set)
            await live.wait()
            async with ValkeyLease[str](client, namespace=namespace) as lease:
                await lease.invalidate("k")
                while not heard:
                    await checkpoint()
            tasks.cancel_scope.cancel()
    assert [notice.key for notice in heard] == ["k"]


async def test_errors_in_one_group_with_its_cancellation_do_not_come_out() -> None:
    store = MemoryStore()
    store.listen = Unhappy(OSError("reset"))  # type: ignore[method-assign]
    async with Lease[str](store) as lease:
        assert await lease.execute("k", at_once) == 1


async def test_what_is_more_than_an_error_does() -> None:
    store = MemoryStore()
    store.listen = Unhappy(KeyboardInterrupt())  # type: ignore[method-assign]
    with pytest.raises(BaseExceptionGroup) as caught:
        async with Lease[str](store):
            pass
    assert caught.value.subgroup(KeyboardInterrupt) is not None


async def test_a_stray_cancellation_does_not_end_it(
    clock: HandClock, anyio_backend_name: str
) -> None:
    if anyio_backend_name == "trio":
        return  # there, tasks cannot be cancelled from outside
    process = Process(MemoryStore())
    async with process:
        (task,) = [task for task in asyncio.all_tasks() if task.get_name().endswith("subscription")]
        for count in range(1, 3):
            task.cancel()
            await settle()
            for _ in range(
                21
            ):  # all tasks may be cancelled: for a second it looks whether they are
                clock.advance(0.05)
                await settle()
            assert process.store.subscriptions == count + 1
        assert await process.lease.execute("k", at_once) == 1


async def test_it_ends_too_if_who_opened_the_lease_ends_a_moment_later(
    clock: HandClock, anyio_backend_name: str
) -> None:
    if anyio_backend_name == "trio":
        return  # there, tasks cannot be cancelled from outside, nor left behind
    go = asyncio.Event()

    async def opened() -> None:
        await Lease[str](MemoryStore()).__aenter__()
        await go.wait()

    opener = asyncio.create_task(opened())
    await settle()
    (task,) = [task for task in asyncio.all_tasks() if task.get_name().endswith("subscription")]
    task.cancel()
    await settle()
    assert not task.done()
    go.set()
    await opener
    clock.advance(0.05)
    await settle()
    assert task.done()


async def test_a_cancellation_ends_it_if_who_opened_the_lease_has_ended_without_closing_it(
    anyio_backend_name: str,
) -> None:
    if anyio_backend_name == "trio":
        return  # there, tasks cannot be cancelled from outside, nor left behind
    # As at the end of asyncio.run(), which cancels what is left, once, and waits for it.
    await asyncio.create_task(Lease[str](MemoryStore()).__aenter__())
    (task,) = [task for task in asyncio.all_tasks() if task.get_name().endswith("subscription")]
    task.cancel()
    await settle()
    assert task.done()
