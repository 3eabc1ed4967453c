"""When a batch goes, and with which keys."""

from __future__ import annotations

import anyio
import pytest

from anyflight import BatchLoader, FlightState
from tests.loader.batching import LoadBatch, ask, ask_many, assert_idle
from tests.support import HandClock, settle

pytestmark = pytest.mark.anyio


async def test_what_is_asked_for_at_once_goes_in_one_batch() -> None:
    work = LoadBatch()
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        callers = await ask(tasks, loader, *range(20), *range(10))
        assert [sorted(keys) for keys in work.batches] == [[*range(20)]]
        work.release()
    assert [caller.value for caller in callers] == [
        f"value of {key}" for key in [*range(20), *range(10)]
    ]
    assert_idle(loader)
    assert (loader.statistics().batches, loader.statistics().loaded) == (1, 20)


async def test_a_batch_has_distinct_keys_in_the_order_of_arrival() -> None:
    work = LoadBatch()
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        caller = await ask_many(tasks, loader, 3, 1, 2, 1, 3)
        work.release()
    assert work.batches == [[3, 1, 2]]
    assert [*caller.value] == [3, 1, 2]


async def test_a_full_batch_goes_and_the_rest_follows() -> None:
    work = LoadBatch()
    loader = BatchLoader[int, str](work, max_batch_size=4, max_concurrent_batches=10)
    async with loader, anyio.create_task_group() as tasks:
        await ask_many(tasks, loader, *range(10))
        assert sorted(work.batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        assert work.running == 3
        work.release()
    assert_idle(loader)


async def test_an_idle_loader_starts_at_once_and_what_comes_later_goes_in_the_next_batch() -> None:
    work = LoadBatch()
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        await ask(tasks, loader, 1)
        assert [info.state for info in loader.flights()] == [FlightState.RUNNING]
        await ask(tasks, loader, 2)
        assert work.batches == [[1], [2]]
        work.release()


async def test_while_as_many_run_as_may_keys_gather_and_go_when_one_lands() -> None:
    work = LoadBatch()
    loader = BatchLoader[int, str](work, max_concurrent_batches=2)
    async with loader, anyio.create_task_group() as tasks:
        for key in (1, 2, 3, 4, 5):
            await ask(tasks, loader, key)
        assert work.batches == [[1], [2]]
        assert [info.state for info in loader.flights()] == [
            *[FlightState.RUNNING] * 2,
            *[FlightState.STARTING] * 3,
        ]
        work.gates[0].set()
        await settle()
        assert work.batches == [[1], [2], [3, 4, 5]]
        work.release()
    assert work.most_running == 2
    assert_idle(loader)


async def test_full_batches_stand_in_line_for_a_slot() -> None:
    work = LoadBatch()
    loader = BatchLoader[int, str](work, max_batch_size=2, max_concurrent_batches=1)
    async with loader, anyio.create_task_group() as tasks:
        await ask_many(tasks, loader, *range(7))
        for landed in range(4):
            assert work.batches == [[0, 1], [2, 3], [4, 5], [6]][: landed + 1]
            work.gates[landed].set()
            await settle()
    assert work.most_running == 1
    assert_idle(loader)


async def test_what_the_woken_ask_for_goes_in_the_batch_that_the_landing_lets_go() -> None:
    async def twice(key: int) -> None:
        await loader.load(key)
        await loader.load(key + 100)

    work = LoadBatch()
    loader = BatchLoader[int, str](work, max_concurrent_batches=1)
    async with loader, anyio.create_task_group() as tasks:
        for key in range(5):
            tasks.start_soon(twice, key)
        await settle()
        await ask(tasks, loader, 50)
        work.release()
    assert [sorted(keys) for keys in work.batches] == [
        [0, 1, 2, 3, 4],
        [50, 100, 101, 102, 103, 104],
    ]


async def test_keys_gather_while_the_leader_waits_for_a_token_of_the_limiter() -> None:
    work, limiter = LoadBatch(), anyio.CapacityLimiter(1)
    loader = BatchLoader[int, str](work, limiter=limiter)
    async with loader, anyio.create_task_group() as tasks:
        limiter.acquire_on_behalf_of_nowait(work)
        for key in (1, 2, 3):
            await ask(tasks, loader, key)
        assert work.batches == []
        limiter.release_on_behalf_of(work)
        await settle()
        assert work.batches == [[1, 2, 3]]
        work.release()
    assert limiter.borrowed_tokens == 0
    assert_idle(loader)


class TestMaxDelay:
    async def test_a_batch_waits_so_long_after_its_first_key(self, clock: HandClock) -> None:
        work = LoadBatch()
        loader = BatchLoader[int, str](work, max_delay=1)
        async with loader, anyio.create_task_group() as tasks:
            await ask(tasks, loader, 1)
            clock.advance(0.5)
            await ask(tasks, loader, 2)
            clock.advance(0.5 - 1e-9)
            await settle()
            assert work.batches == []
            clock.advance(2e-9)
            await settle()
            assert work.batches == [[1, 2]]
            await ask(tasks, loader, 3)
            assert work.batches == [[1, 2]]
            clock.advance(1)
            work.release()
        assert_idle(loader)
        assert clock.alarms == []

    async def test_a_full_batch_does_not_wait(self, clock: HandClock) -> None:
        work = LoadBatch()
        loader = BatchLoader[int, str](work, max_delay=1, max_batch_size=2)
        async with loader, anyio.create_task_group() as tasks:
            await ask_many(tasks, loader, 1, 2, 3)
            assert work.batches == [[1, 2]]
            clock.advance(1)
            await settle()
            assert work.batches == [[1, 2], [3]]
            work.release()
        assert_idle(loader)

    async def test_one_that_has_waited_for_a_slot_does_not_wait_on(self, clock: HandClock) -> None:
        work = LoadBatch()
        loader = BatchLoader[int, str](
            work, max_delay=1, max_batch_size=2, max_concurrent_batches=1
        )
        async with loader, anyio.create_task_group() as tasks:
            await ask_many(tasks, loader, 1, 2)
            await ask(tasks, loader, 3)
            work.gates[0].set()
            await settle()
            assert work.batches == [[1, 2], [3]]
            work.release()
        assert_idle(loader)

    async def test_one_that_waits_for_a_token_goes_once(self, clock: HandClock) -> None:
        work, limiter = LoadBatch(), anyio.CapacityLimiter(1)
        loader = BatchLoader[int, str](work, max_delay=1, max_batch_size=3, limiter=limiter)
        async with loader, anyio.create_task_group() as tasks:
            limiter.acquire_on_behalf_of_nowait(work)
            await ask(tasks, loader, 1)
            clock.advance(1)
            await settle()
            await ask(tasks, loader, 2)
            clock.advance(1)
            await ask(tasks, loader, 3)
            assert loader._batches._slots.borrowed_tokens == 1
            limiter.release_on_behalf_of(work)
            work.release()
        assert work.batches == [[1, 2, 3]]
        assert_idle(loader)

    async def test_its_time_may_be_over_before_there_is_a_slot(self, clock: HandClock) -> None:
        work = LoadBatch()
        loader = BatchLoader[int, str](
            work, max_delay=1, max_batch_size=2, max_concurrent_batches=1
        )
        async with loader, anyio.create_task_group() as tasks:
            await ask_many(tasks, loader, 1, 2)
            await ask(tasks, loader, 3)
            clock.advance(5)
            await ask(tasks, loader, 4)
            assert work.batches == [[1, 2]]
            work.release()
        assert work.batches == [[1, 2], [3, 4]]
        assert_idle(loader)

    async def test_when_the_last_key_is_left_its_time_is_no_concern(self, clock: HandClock) -> None:
        work = LoadBatch()
        loader = BatchLoader[int, str](work, max_delay=1)
        async with loader, anyio.create_task_group() as tasks:
            (first,) = await ask(tasks, loader, 1)
            first.cancel()
            await settle()
            clock.advance(0.6)
            await ask(tasks, loader, 2)
            clock.advance(0.6)
            await settle()
            assert work.batches == []
            clock.advance(0.6)
            await settle()
            assert work.batches == [[2]]
            work.release()
        assert_idle(loader)

    async def test_closing_lets_a_batch_go(self, clock: HandClock) -> None:
        work = LoadBatch()
        work.release()
        loader = BatchLoader[int, str](work, max_delay=3600)
        async with anyio.create_task_group() as tasks:
            async with loader:
                (caller,) = await ask(tasks, loader, 1)
        assert caller.value == "value of 1"
        assert_idle(loader)
        assert clock.alarms == []

    async def test_what_was_queued_when_the_loader_closed_does_not_wait(
        self, clock: HandClock
    ) -> None:
        work = LoadBatch()
        loader = BatchLoader[int, str](work, max_delay=3600)
        async with anyio.create_task_group() as tasks:
            async with loader:
                await ask(tasks, loader, 1)
                clock.advance(3600)
                await settle()
                (fresh,) = await ask(tasks, loader, 1, fresh=True)
                tasks.start_soon(_release_later, work)
        assert fresh.value == "value of 1"
        assert_idle(loader)


async def _release_later(work: LoadBatch) -> None:
    await settle()
    work.release()
