"""Laws 2 and 3: whoever is cancelled leaves, and harms nobody."""

from __future__ import annotations

import anyio
import pytest

from anyflight import BatchLoader
from tests.loader.batching import LoadBatch, ask, ask_many, assert_idle
from tests.support import CANCELLED, WAYS, settle

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("way", WAYS)
async def test_law_2_the_first_caller_is_cancelled_and_the_others_get_their_values(
    way: str,
) -> None:
    work = LoadBatch()
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        first, *others = await ask(tasks, loader, 1, 1, 2, 3, way=way)
        first.cancel()
        await settle()
        assert first.outcome is CANCELLED
        work.release()
    assert [caller.value for caller in others] == ["value of 1", "value of 2", "value of 3"]
    assert work.cancelled == 0
    assert_idle(loader)


@pytest.mark.parametrize("way", WAYS)
async def test_law_3_a_key_that_all_have_left_is_taken_out_of_a_pending_batch(way: str) -> None:
    work = LoadBatch()
    loader = BatchLoader[int, str](work, max_concurrent_batches=1)
    async with loader, anyio.create_task_group() as tasks:
        await ask(tasks, loader, 0)
        callers = await ask(tasks, loader, 1, 2, 2, 3, way=way)
        callers[0].cancel()
        callers[1].cancel()
        await settle()
        work.release()
    assert [sorted(keys) for keys in work.batches] == [[0], [2, 3]]
    assert [caller.outcome for caller in callers] == [
        CANCELLED,
        CANCELLED,
        "value of 2",
        "value of 3",
    ]
    assert_idle(loader)


@pytest.mark.parametrize("way", WAYS)
async def test_law_3_a_running_batch_is_cancelled_when_all_its_keys_are_abandoned(
    way: str,
) -> None:
    work = LoadBatch()
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        callers = await ask(tasks, loader, 1, 1, 2, way=way)
        callers.append(await ask_many(tasks, loader, 2, 3, way=way))
        for left, caller in enumerate(callers):
            assert work.cancelled == 0, f"cancelled after {left} of 4 had left"
            caller.cancel()
            await settle()
        assert work.cancelled == 2, "the second batch was that of 3"
    assert_idle(loader)


async def test_law_3_a_fresh_call_that_has_followed_is_left_like_any_other() -> None:
    work = LoadBatch()
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        await ask(tasks, loader, 1)
        (fresh,) = await ask(tasks, loader, 1, fresh=True)
        work.gates[0].set()
        await settle()
        assert work.batches == [[1], [1]]
        fresh.cancel()
        await settle()
        assert work.cancelled == 1
    assert_idle(loader)


async def test_a_full_batch_that_a_key_has_left_takes_another() -> None:
    work = LoadBatch()
    loader = BatchLoader[int, str](work, max_batch_size=3, max_concurrent_batches=1)
    async with loader, anyio.create_task_group() as tasks:
        await ask(tasks, loader, 0)
        for first in (10, 20, 30, 40):
            impatient = await ask_many(tasks, loader, first, first + 1)
            await ask(tasks, loader, first + 2)
            impatient.cancel()
            await settle()
        work.release()
    assert work.batches[0] == [0]
    assert sorted(key for keys in work.batches for key in keys) == [0, 12, 22, 32, 42]
    assert len(work.batches) == 3, "the first, and four keys in two"
    assert_idle(loader)


@pytest.mark.parametrize("gone", ["in line", "starting", "waiting for a token"])
async def test_law_3_a_batch_that_all_have_left_is_never_loaded(gone: str) -> None:
    work, limiter = LoadBatch(), anyio.CapacityLimiter(2)
    loader = BatchLoader[int, str](work, max_concurrent_batches=2, limiter=limiter)
    async with loader, anyio.create_task_group() as tasks:
        if gone == "in line":
            await ask(tasks, loader, 0)
            await ask(tasks, loader, 100)
        elif gone == "waiting for a token":
            limiter.total_tokens = 1
            await ask(tasks, loader, 0)
        callers = [await ask_many(tasks, loader, 1, 2)] if gone != "starting" else []
        if gone == "starting":
            with anyio.CancelScope() as scope:
                tasks.start_soon(_cancel, scope)
                await loader.load(1)
        for caller in callers:
            caller.cancel()
        await settle()
        assert [info.key for info in loader.flights()] == sorted(
            key for keys in work.batches for key in keys
        )
        (after,) = await ask(tasks, loader, 1)
        work.release()
    assert after.value == "value of 1"
    assert sum(keys == [1] for keys in work.batches) == 1
    assert not any(2 in keys for keys in work.batches)
    assert_idle(loader)


async def _cancel(scope: anyio.CancelScope) -> None:
    scope.cancel()


async def test_landing_and_leaving_in_the_same_turn() -> None:
    work = LoadBatch()
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        one, two, three = await ask(tasks, loader, 1, 2, 2)
        work.release()
        one.cancel()
        two.cancel()
        await settle()
        assert (one.outcome, two.outcome) == (CANCELLED, CANCELLED)
        assert three.value == "value of 2"
    assert_idle(loader)


async def test_a_batch_may_return_its_values_though_it_was_cancelled() -> None:
    async def load_batch(keys: list[int]) -> dict[int, int]:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return dict.fromkeys(keys, 0)

    async with BatchLoader(load_batch) as loader, anyio.create_task_group() as tasks:
        (caller,) = await ask(tasks, loader, 1)
        caller.cancel()
        await settle()
        assert loader.statistics().succeeded == 1
    assert_idle(loader)


@pytest.mark.parametrize("way", WAYS)
async def test_load_many_leaves_all_its_keys(way: str) -> None:
    work = LoadBatch()
    loader = BatchLoader[int, str](work, max_batch_size=2, max_concurrent_batches=2)
    async with loader, anyio.create_task_group() as tasks:
        many = await ask_many(tasks, loader, *range(6), way=way)
        (other,) = await ask(tasks, loader, 1)
        many.cancel()
        await settle()
        assert work.cancelled == 1
        assert [info.waiters for info in loader.flights()] == [0, 1]
        work.release()
    assert many.outcome is CANCELLED
    assert other.value == "value of 1"
    assert_idle(loader)


async def test_an_error_in_load_many_leaves_the_keys_that_follow() -> None:
    def answer(key: int) -> object:
        return ValueError(key) if key == 0 else key

    work = LoadBatch(answer=answer)
    loader = BatchLoader[int, int](work, max_batch_size=1)
    async with loader, anyio.create_task_group() as tasks:
        many = await ask_many(tasks, loader, 0, 1, 2)
        work.gates[[*map(tuple, work.batches)].index((0,))].set()
        await settle()
        assert repr(many.outcome) == "ValueError(0)"
        assert work.cancelled == 2
    assert_idle(loader)


async def test_law_15_in_a_cancelled_scope_nothing_is_started() -> None:
    work = LoadBatch()
    async with BatchLoader[int, str](work) as loader:
        for call in (
            lambda: loader.load(1),
            lambda: loader.load_many([1, 2]),
            lambda: loader.load_many([]),
        ):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await call()
            assert scope.cancelled_caught
    assert work.batches == []
    assert loader.statistics().calls == 0


async def test_law_15_every_call_is_a_checkpoint() -> None:
    async def other() -> None:
        turns.append("other")

    work = LoadBatch()
    work.release()
    turns: list[str] = []
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        for call in (lambda: loader.load(1), lambda: loader.load_many([1])):
            tasks.start_soon(other)
            await call()
            assert turns.pop() == "other"
