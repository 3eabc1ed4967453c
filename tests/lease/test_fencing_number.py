"""The work can ask for the number of the lease under which it runs."""

from __future__ import annotations

import contextvars

import anyio
import pytest
from anyio import to_thread

from anyflight import Coalescer
from anyflight.lease import Lease, MemoryStore, fencing_number
from tests.lease.leasing import Process
from tests.support import Work, settle

pytestmark = pytest.mark.anyio


async def number() -> int | None:
    return fencing_number()


async def test_it_is_greater_with_each_lease_of_a_key_in_whatever_process() -> None:
    memory = MemoryStore()
    one, two = Process(memory), Process(memory)
    async with one, two:
        numbers = [await process.lease.execute("k", number) for process in (one, two, two, one)]
    assert numbers == sorted({*numbers})
    assert numbers[0] > 0


async def test_there_is_none_outside_of_a_lease() -> None:
    process = Process(MemoryStore())
    assert fencing_number() is None
    async with process:
        await process.lease.execute("k", number)
        assert fencing_number() is None
    assert await number() is None


async def test_inside_of_two_it_is_that_of_the_inner() -> None:
    async def outer() -> None:
        numbers.append(fencing_number())
        numbers.append(await process.lease.execute("inner", number))
        numbers.append(fencing_number())

    process = Process(MemoryStore())
    numbers: list[int | None] = []
    async with process:
        await process.lease.execute("outer", outer)
    first, inner, last = numbers
    assert first == last
    assert inner not in {None, first}


async def test_tasks_and_threads_of_the_work_know_it() -> None:
    async def work() -> int | None:
        async def child() -> None:
            numbers.append(fencing_number())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
        numbers.append(await to_thread.run_sync(fencing_number))
        return fencing_number()

    process = Process(MemoryStore())
    numbers: list[int | None] = []
    async with process:
        own = await process.lease.execute("k", work)
    assert own is not None
    assert numbers == [own, own]


async def test_work_of_a_flight_knows_it_in_a_context_of_its_own() -> None:
    async def work() -> tuple[str, int | None]:
        return tenant.get(), fencing_number()

    tenant = contextvars.ContextVar[str]("tenant")
    tenant.set("ours")
    lease = Lease[str](MemoryStore())
    async with lease, Coalescer[str, tuple[str, int | None]](across=lease) as flights:
        name, own = await flights.execute("k", work)
        assert name == "ours"
        assert own is not None
        assert fencing_number() is None


async def test_there_is_none_without_the_server() -> None:
    process = Process(MemoryStore())
    async with process:
        process.store.fails["acquire"] = ConnectionError("down")
        assert await process.lease.execute("k", number) is None


async def test_nor_is_that_of_an_outer_lease_taken_for_it() -> None:
    async def outer() -> int | None:
        process.store.fails["acquire"] = ConnectionError("down")
        return await process.lease.execute("inner", number)

    process = Process(MemoryStore())
    async with process:
        assert await process.lease.execute("outer", outer) is None


async def test_there_is_none_for_a_value_that_cannot_be_shared() -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", work, object())
        call = await two.start(tasks, "k", number)
        work.go.set()
        await settle()
        assert call.value is None


async def test_work_that_is_run_again_has_another() -> None:
    async def work() -> int | None:
        numbers.append(fencing_number())
        if len(numbers) == 1:
            memory._states.clear()
            await process.lease.core._holdings._renew(process.lease.core._holdings.of("k")[0])
            await anyio.sleep_forever()
        return fencing_number()

    memory = MemoryStore()
    process = Process(memory)
    numbers: list[int | None] = []
    async with process:
        await process.lease.execute("k", work)
    first, second = numbers
    assert first is not None
    assert second is not None
    assert first < second
