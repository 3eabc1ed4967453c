"""When a call has ended, nobody holds memory for it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyflight.lease import Lease, LeaseUnavailableError, MemoryStore, RemoteFlightError
from anyflight.lease._held import Held
from tests.lease.leasing import Process
from tests.support import HandClock, Work, settle

pytestmark = pytest.mark.anyio


class Thing:
    """An argument or a value, to see when it goes."""


class ThingCodec:
    def encode(self, value: Any, /) -> bytes:
        return b""

    def decode(self, data: bytes, /) -> Any:
        return Thing()


async def at_once(value: Any = 1) -> Any:
    return value


async def fail(_: Any = None) -> None:
    raise ValueError("broken")


@contextmanager
def without_collector() -> Iterator[None]:
    """Let nothing go by itself that has to be looked for."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_arguments_and_values_go_with_the_call() -> None:
    process = Process(MemoryStore(), codec=ThingCodec())
    async with process:
        thing = Thing()
        reference = weakref.ref(thing)
        with without_collector():
            await process.lease.execute("k", at_once, thing)
            await checkpoint()
            del thing
            assert reference() is None
        process.assert_settled()


async def test_so_they_do_without_the_server() -> None:
    process = Process(MemoryStore())
    async with process:
        process.store.fails["acquire"] = ConnectionError
        await process.lease.execute("k", at_once)
        thing = Thing()
        reference = weakref.ref(thing)
        with without_collector():
            await process.lease.execute("k", at_once, thing)
            await checkpoint()
            del thing
            assert reference() is None


@pytest.mark.parametrize("way", ["leading", "alone", "waiting", "unavailable"])
async def test_an_error_that_is_kept_keeps_frames_and_no_circle(way: str) -> None:
    async def call(key: str) -> None:
        thing = Thing()
        references.append(weakref.ref(thing))
        try:
            await process.lease.execute(key, fail, thing)
        except (ValueError, RemoteFlightError, LeaseUnavailableError) as exc:
            kinds.append(type(exc).__name__)
        del thing

    memory, references, kinds = MemoryStore(), list[Any](), list[str]()
    options = {"on_unreachable": "raise"} if way == "unavailable" else {}
    other, process = Process(memory), Process(memory, **options)
    work = Work(fail=ValueError("broken"))
    async with other, process, anyio.create_task_group() as tasks:
        if way in {"alone", "unavailable"}:
            process.store.fails["acquire"] = ConnectionError
        if way == "waiting":
            await other.start(tasks, "k", work)
        with without_collector():
            tasks.start_soon(call, "k")
            await settle()
            work.go.set()
            await settle()
            assert references[0]() is None
    assert kinds == [
        {"waiting": "RemoteFlightError", "unavailable": "LeaseUnavailableError"}.get(
            way, "ValueError"
        )
    ]


async def test_a_call_that_was_cancelled_leaves_nothing() -> None:
    memory = MemoryStore()
    process, work = Process(memory), Work()
    async with process, anyio.create_task_group() as tasks:
        thing = Thing()
        reference = weakref.ref(thing)
        with without_collector():
            call = await process.start(tasks, "k", work, thing)
            del thing
            call.cancel()
            await settle()
            del call
            work.calls.clear()
            assert reference() is None
        assert len(memory) == 0
        process.assert_settled()


async def test_many_keys_leave_nothing_here_nor_there() -> None:
    memory = MemoryStore()
    process = Process(memory)
    async with process:
        for number in range(500):
            await process.lease.execute(f"{number}", at_once)
        process.assert_settled()
    assert len(memory) == 0


async def test_a_store_in_memory_forgets_what_was_kept_for_those_who_waited(
    clock: HandClock,
) -> None:
    memory = MemoryStore()
    for number in range(100):
        await memory.acquire(f"{number}", "a", ttl=1, since=1)
    clock.advance(2)
    for number in range(100):
        await memory.acquire("k", f"{number}", ttl=1, since=0)
    assert len(memory) == 1


async def test_work_that_begins_in_a_context_of_other_work_keeps_none_that_has_ended(
    clock: HandClock,  # a timer of asyncio keeps its context until its time, cancelled or not
) -> None:
    async def call(number: int) -> None:
        await process.lease.execute(f"link {number}", work, number)

    async def work(number: int) -> None:
        begun[number].set()
        if number < 20:
            tasks.start_soon(call, number + 1)  # whose context is a copy of this one
            await begun[number + 1].wait()
        else:
            await end.wait()

    process, end = Process(MemoryStore()), anyio.Event()
    begun = [anyio.Event() for _ in range(21)]
    async with process, anyio.create_task_group() as tasks:
        await call(0)
        await begun[20].wait()
        await settle()
        gc.collect()
        held = [each.name for each in gc.get_objects() if isinstance(each, Held)]
        assert sum(name.startswith("link ") for name in held) <= 2
        end.set()


alive: weakref.WeakSet[BaseException] = weakref.WeakSet()


class Refused(ConnectionError):
    def __init__(self) -> None:
        alive.add(self)


@pytest.mark.parametrize("method", ["check", "listen"])
async def test_an_attempt_to_subscribe_that_fails_leaves_nothing(
    clock: HandClock, method: str
) -> None:
    process = Process(MemoryStore())
    process.store.fails[method] = Refused
    with without_collector():
        async with process:
            for _ in range(5):
                clock.advance(1)
                await settle()
        assert process.counts.failures >= 5
        assert len(alive) == 0


async def test_a_lease_that_is_closed_can_go() -> None:
    lease = Lease[str](MemoryStore())
    async with lease:
        await lease.execute("k", at_once)
    reference = weakref.ref(lease)
    del lease
    gc.collect()
    assert reference() is None
