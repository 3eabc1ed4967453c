"""A call made by the work that it would wait for is refused at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from anyflight import Coalescer, DeadlockError
from anyflight.lease import Lease, LeaseUnavailableError, MemoryStore
from tests.lease.leasing import Process
from tests.support import Work, settle

pytestmark = pytest.mark.anyio


async def at_once(value: int = 1) -> int:
    return value


async def test_work_that_calls_its_own_key() -> None:
    async def work() -> None:
        await process.lease.execute("k", at_once)

    process = Process(MemoryStore())
    async with process:
        with pytest.raises(DeadlockError) as caught:
            await process.lease.execute("k", work)
    assert (caught.value.key, caught.value.chain) == ("k", ("k", "k"))
    assert str(caught.value) == "the work for key 'k' would wait for itself: 'k' -> 'k'"
    assert (process.counts.calls, process.counts.ran) == (1, 1)
    process.assert_settled()


async def test_by_way_of_other_keys() -> None:
    def work(key: str) -> Callable[[], Awaitable[Any]]:
        async def work() -> Any:
            return await process.lease.execute(key, works[key])

        return work

    process = Process(MemoryStore())
    works = {"a": work("b"), "b": work("c"), "c": work("b")}
    async with process:
        with pytest.raises(DeadlockError) as caught:
            await process.lease.execute("a", works["a"])
    assert (caught.value.key, caught.value.chain) == ("b", ("b", "c", "b"))


async def test_a_fresh_call_too() -> None:
    async def work() -> None:
        await process.lease.execute("k", at_once, fresh=True)

    process = Process(MemoryStore())
    async with process:
        with pytest.raises(DeadlockError):
            await process.lease.execute("k", work)


async def test_not_if_the_work_has_invalidated_its_own_key_for_then_its_lease_is_void() -> None:
    async def work() -> int:
        await process.lease.invalidate("k")
        return await process.lease.execute("k", at_once, 2)

    process = Process(MemoryStore())
    async with process:
        assert await process.lease.execute("k", work) == 2
    assert (process.counts.committed, process.counts.fenced) == (1, 1)
    process.assert_settled()


async def test_work_that_could_not_invalidate_its_key_has_its_lease_still() -> None:
    async def work() -> None:
        process.store.fails["invalidate"] = ConnectionError
        with pytest.raises(LeaseUnavailableError):
            await process.lease.invalidate("k")
        await process.lease.execute("k", at_once)

    process = Process(MemoryStore())
    async with process:
        with pytest.raises(DeadlockError):
            await process.lease.execute("k", work)


async def test_work_that_catches_it_goes_on() -> None:
    async def work() -> Any:
        with pytest.raises(DeadlockError):
            await process.lease.execute("k", at_once)
        return await process.lease.execute("other", at_once)

    process = Process(MemoryStore())
    async with process:
        assert await process.lease.execute("k", work) == 1
    assert process.counts.ran == 2


async def test_work_in_tasks_of_the_work() -> None:
    async def call(key: str) -> None:
        try:
            results[key] = await process.lease.execute(key, at_once)
        except DeadlockError:
            results[key] = "refused"

    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "k")
            tasks.start_soon(call, "other")

    results: dict[str, Any] = {}
    process = Process(MemoryStore())
    async with process:
        await process.lease.execute("k", work)
    assert results == {"k": "refused", "other": 1}


async def test_a_key_is_known_by_its_name() -> None:
    async def work() -> None:
        await process.lease.execute(1.0, at_once)

    process = Process(MemoryStore(), encode_key=lambda key: str(int(key)))
    async with process:
        with pytest.raises(DeadlockError) as caught:
            await process.lease.execute(1, work)
    assert caught.value.chain == (1, 1.0)


async def test_it_is_found_although_the_server_cannot_be_asked() -> None:
    async def work() -> None:
        await process.lease.execute("k", work)

    process = Process(MemoryStore())
    process.store.down = ConnectionError("down")
    async with process:
        with pytest.raises(DeadlockError):
            await process.lease.execute("k", work)
    assert process.counts.ran_unreachable == 1
    process.assert_settled()


async def test_by_way_of_a_coalescer() -> None:
    async def outer() -> int:
        return await inner_flights.execute("b", inner)

    async def inner() -> int:
        return await lease.execute("a", at_once)

    lease = Lease[str](MemoryStore())
    async with (
        lease,
        Coalescer[str, int](across=lease) as flights,
        Coalescer[str, int]() as inner_flights,
    ):
        with pytest.raises(DeadlockError) as caught:
            await flights.execute("a", outer)
    assert caught.value.chain == ("a", "a")


async def test_no_circle_is_where_the_work_has_ended() -> None:
    async def work() -> int:
        tasks.start_soon(afterwards)
        return 1

    async def afterwards() -> None:
        await ended.wait()
        values.append(await process.lease.execute("k", at_once, 2))
        await process.lease.execute("k", outer)

    async def outer() -> None:
        values.append(await process.lease.execute("other", at_once, 3))

    values: list[int] = []
    process, ended = Process(MemoryStore()), anyio.Event()
    async with process, anyio.create_task_group() as tasks:
        assert await process.lease.execute("k", work) == 1
        ended.set()
    assert values == [2, 3]


async def test_nor_where_another_runs_the_same_key() -> None:
    async def call() -> Any:
        return await one.lease.execute("other", wait_for_k)

    async def wait_for_k() -> Any:
        return await one.lease.execute("k", at_once)

    work, memory = Work(), MemoryStore()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await two.start(tasks, "k", work, 1)
        waiting = await one.start(tasks, "a", call)
        work.go.set()
        await settle()
        assert waiting.value == 1
