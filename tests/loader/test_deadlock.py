"""Law 11: a call that would make a batch wait for itself is refused, and no other call is."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from anyflight import BatchLoader, Coalescer, DeadlockError, FlightTimeoutError, _deadlock
from tests.loader.batching import LoadBatch, ask, assert_idle
from tests.support import HandClock, settle

pytestmark = pytest.mark.anyio
Inner = Callable[[list[int]], Awaitable[Any]]


def chain_of(error: Any) -> tuple[Any, ...]:
    assert isinstance(error, DeadlockError), repr(error)
    return error.chain


@pytest.mark.parametrize("many", [False, True])
async def test_law_11_a_key_that_its_own_batch_asks_for(many: bool) -> None:
    async def load_batch(keys: list[int]) -> dict[int, int]:
        await (loader.load_many([2, 3]) if many else loader.load(2))
        return dict.fromkeys(keys, 0)

    async with BatchLoader(load_batch) as loader:
        with pytest.raises(DeadlockError, match="2 waits for 2") as caught:
            await loader.load_many([1, 2])
        assert (caught.value.chain, caught.value.key) == ((2, 2), 2)
    assert_idle(loader)


async def test_law_11_another_key_when_no_more_batches_may_run() -> None:
    async def load_batch(keys: list[int]) -> dict[int, int]:
        return {key: await loader.load(key - 1) if key else 0 for key in keys}

    async with BatchLoader(load_batch, max_concurrent_batches=3) as loader:
        assert await loader.load(2) == 0
        with pytest.raises(DeadlockError, match=r"key 1 would wait .* 1 waits for 0 waits for 1$"):
            await loader.load(3)
        assert await loader.load(2) == 0
    assert_idle(loader)


async def test_law_11_no_false_alarm_while_another_batch_can_end() -> None:
    async def load_batch(keys: list[int]) -> dict[int, int]:
        if keys == [1]:
            return {1: await loader.load(2)}
        return await work(keys)

    work = LoadBatch()
    loader = BatchLoader[int, Any](load_batch, max_concurrent_batches=2)
    async with loader, anyio.create_task_group() as tasks:
        (other,) = await ask(tasks, loader, 3)
        (outer,) = await ask(tasks, loader, 1)
        work.release()
    assert (other.value, outer.value) == ("value of 3", "value of 2")
    assert_idle(loader)


async def test_law_11_a_circle_through_a_coalescer() -> None:
    async def load_batch(keys: list[int]) -> dict[int, str]:
        return {key: await coalescer.execute(f"page {key}", page, key) for key in keys}

    async def page(key: int) -> str:
        return await loader.load(key + 1) if key < 2 else await loader.load(1)

    async with Coalescer[str, str]() as coalescer, BatchLoader(load_batch) as loader:
        with pytest.raises(DeadlockError) as caught:
            await loader.load(1)
        assert caught.value.chain == ("page 2", 1, "page 1", 2, "page 2")
    assert_idle(loader)


async def test_law_11_load_many_waits_for_all_its_keys_from_the_start() -> None:
    """The second call closes the circle, though the first waits for another key just now."""

    async def load_batch(keys: list[int]) -> dict[int, Any]:
        if keys == [1]:
            return await loader.load_many([3, 2])
        if keys == [2]:
            await turn.wait()
            return {2: await loader.load(1)}
        return await work(keys)

    work, turn = LoadBatch(), anyio.Event()
    loader = BatchLoader[int, Any](load_batch, max_batch_size=1)
    async with loader, anyio.create_task_group() as tasks:
        (two,) = await ask(tasks, loader, 2)
        (one,) = await ask(tasks, loader, 1)
        turn.set()
        await settle()
        assert chain_of(two.outcome) == (2, 1, 2)
        work.release()
    assert chain_of(one.outcome) == (2, 1, 2), "the error of the batch that it waited for"
    assert_idle(loader)


async def test_law_11_many_keys_are_looked_at_in_one_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With one for each, a background task that asked for 2,000 stopped the event loop for 6 s."""

    def of(needs: Any, node: Any) -> Any:
        nonlocal looks
        looks += 1
        return look(needs, node)

    async def load_batch(keys: list[int]) -> dict[int, int]:
        if keys == [-1]:
            tasks.start_soon(loader.load_many, range(500))
            await settle()
        return dict.fromkeys(keys, 0)

    looks, look = 0, _deadlock._Needs.of
    monkeypatch.setattr(_deadlock._Needs, "of", of)
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as others:
        loader = BatchLoader(load_batch, max_concurrent_batches=1)
        others.start_soon(_open, loader)
        await settle()
        assert await loader.load(-1) == 0
        await settle()
        others.cancel_scope.cancel()
    assert 500 <= looks <= 5_000
    assert_idle(loader)


async def _open(loader: BatchLoader[Any, Any]) -> None:
    async with loader:
        await anyio.sleep_forever()


@pytest.mark.parametrize("many", [False, True])
async def test_law_8_a_deadlock_error_that_the_work_lets_out_ties_no_cycle(many: bool) -> None:
    class Thing:
        """Held by a frame of the batch function."""

    async def load_batch(keys: list[int]) -> dict[int, int]:
        nonlocal reference
        thing = Thing()
        reference = weakref.ref(thing)
        await (loader.load_many([1, 2]) if many else loader.load(1))
        return {}

    reference: weakref.ref[Thing] | None = None
    async with BatchLoader(load_batch) as loader:
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(DeadlockError):
                await loader.load(1)
            await settle()
            assert reference is not None
            assert reference() is None
        finally:
            gc.enable()


async def test_law_11_a_task_that_outlives_its_batch_waits_for_whom_it_likes() -> None:
    async def load_batch(keys: list[int]) -> dict[int, int]:
        if keys == [1]:
            tasks.start_soon(later)
        return dict.fromkeys(keys, 0)

    async def later() -> None:
        await go.wait()
        found.append(await loader.load(2))
        found.append(await loader.load_many([1, 2]))

    go = anyio.Event()
    found: list[Any] = []
    async with BatchLoader(load_batch) as loader, anyio.create_task_group() as tasks:
        await loader.load(1)
        await settle()
        go.set()
        await settle()
        assert found == [0, {1: 0, 2: 0}]


async def test_law_11_work_that_goes_on_after_its_deadline_is_waited_for_by_nobody(
    clock: HandClock,
) -> None:
    async def load_batch(keys: list[int]) -> dict[int, int]:
        if keys == [1]:
            with anyio.CancelScope(shield=True):
                await go.wait()
                found.append(await loader.load(2))
        return dict.fromkeys(keys, 0)

    go = anyio.Event()
    found: list[int] = []
    loader = BatchLoader(load_batch, flight_timeout=1, max_concurrent_batches=1)
    async with loader, anyio.create_task_group() as tasks:
        (late,) = await ask(tasks, loader, 1)
        clock.advance(1)
        await settle()
        assert isinstance(late.outcome, FlightTimeoutError)
        go.set()
        await settle()
        assert found == [0]
    assert_idle(loader)


async def test_law_11_a_search_that_is_interrupted_leaves_no_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupt(Exception):
        """As KeyboardInterrupt, which would stop the event loop of asyncio."""

    def circle(caller: Any, flights: Any) -> Any:
        raise Interrupt

    async def load_batch(keys: list[int]) -> dict[int, int]:
        if keys == [1]:
            (batch,) = loader._batches._table
            for call in (lambda: loader.load(2), lambda: loader.load_many([2, 3])):
                with pytest.raises(Interrupt):
                    await call()
                waits.append(len(batch.waits))
        return dict.fromkeys(keys, 0)

    monkeypatch.setattr(_deadlock, "_circle", circle)
    waits: list[int] = []
    async with BatchLoader(load_batch) as loader:
        assert await loader.load(1) == 0
    assert waits == [0, 0]
    assert_idle(loader)


async def test_law_11_a_fresh_call_for_a_key_of_its_own_batch() -> None:
    async def load_batch(keys: list[int]) -> dict[int, int]:
        return {key: await loader.load(key, fresh=True) for key in keys}

    async with BatchLoader(load_batch) as loader:
        with pytest.raises(DeadlockError, match="1 waits for 1"):
            await loader.load(1)
    assert_idle(loader)


async def test_law_11_waiting_for_another_loader_is_no_circle() -> None:
    async def load_authors(keys: list[int]) -> dict[int, str]:
        return {key: f"author {key}" for key in keys}

    async def load_books(keys: list[int]) -> dict[int, str]:
        names = await authors.load_many([key % 2 for key in keys])
        return {key: f"book by {names[key % 2]}" for key in keys}

    async with BatchLoader(load_authors) as authors, BatchLoader(load_books) as books:
        assert await books.load_many([1, 2]) == {1: "book by author 1", 2: "book by author 0"}


async def test_law_11_a_key_whose_batch_waits_for_its_delay_and_then_for_the_only_token() -> None:
    """When it asks for its token no call is made, so nobody would notice then."""

    async def load_batch(keys: list[int]) -> dict[int, int]:
        return {key: await inner.load(key) for key in keys}

    limiter = anyio.CapacityLimiter(1)
    outer = BatchLoader[int, int](load_batch, limiter=limiter)
    inner = BatchLoader[int, int](LoadBatch(), limiter=limiter, max_delay=60)
    async with outer, inner:
        with anyio.fail_after(30), pytest.raises(DeadlockError, match="1 waits for 1 waits for 1"):
            await outer.load(1)
    assert_idle(outer)
    assert_idle(inner)
