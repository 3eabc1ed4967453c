"""Laws 1, 4 and 5: which calls share, and which load anew."""

from __future__ import annotations

import anyio
import pytest

from anyflight import BatchLoader, FlightState
from tests.loader.batching import LoadBatch, ask, ask_many, assert_idle
from tests.support import settle

pytestmark = pytest.mark.anyio


async def test_law_1_load_and_load_many_join_what_is_pending_and_what_is_running() -> None:
    work = LoadBatch()
    loader = BatchLoader[int, str](work, max_concurrent_batches=1)
    async with loader, anyio.create_task_group() as tasks:
        callers = await ask(tasks, loader, 1)
        callers += await ask(tasks, loader, 1, 2)  # 1 is running, 2 pending
        many = [await ask_many(tasks, loader, 1, 2, 3), await ask_many(tasks, loader, 3, 2)]
        work.release()
    assert work.batches == [[1], [2, 3]]
    assert [caller.value for caller in callers] == ["value of 1", "value of 1", "value of 2"]
    assert many[1].value == {3: "value of 3", 2: "value of 2"}
    now = loader.statistics()
    assert (now.calls, now.flights, now.joined) == (8, 3, 5)
    assert_idle(loader)


async def test_law_1_after_the_landing_a_key_is_loaded_anew() -> None:
    work = LoadBatch()
    work.release()
    async with BatchLoader[int, str](work) as loader:
        await loader.load(1)
        await loader.load(1)
    assert work.batches == [[1], [1]]


async def test_to_ask_for_nothing_starts_nothing() -> None:
    async with BatchLoader[int, str](LoadBatch()) as loader:
        assert await loader.load_many([]) == {}
        assert await loader.load_many(iter(())) == {}
        assert loader.statistics().calls == 0


async def test_keys_are_compared_as_dict_does_and_each_caller_finds_its_own() -> None:
    work = LoadBatch()
    work.release()
    async with BatchLoader[object, str](work) as loader:
        found = await loader.load_many([1, True, 1.0, None, ""])
        assert [*found] == [1, None, ""]
        async with anyio.create_task_group() as tasks:
            (first,) = await ask(tasks, loader, 1)
            second = await ask_many(tasks, loader, True)
    assert first.value == "value of 1"
    assert [type(key) for key in second.value] == [bool]


async def test_law_5_a_fresh_call_joins_what_has_not_begun_and_else_follows() -> None:
    work = LoadBatch()
    loader = BatchLoader[int, str](work, max_concurrent_batches=1)
    async with loader, anyio.create_task_group() as tasks:
        await ask(tasks, loader, 1)
        await ask(tasks, loader, 2)
        await ask(tasks, loader, 2, fresh=True)
        await ask(tasks, loader, 1, 1, fresh=True)
        many = await ask_many(tasks, loader, 1, 3, fresh=True)
        assert [(info.key, info.state) for info in loader.flights()] == [
            (1, FlightState.RUNNING),
            (1, FlightState.QUEUED),
            (2, FlightState.STARTING),
            (3, FlightState.STARTING),
        ]
        work.release()
    assert [many.value[1], many.value[3]] == ["value of 1", "value of 3"]
    assert work.batches == [[1], [2, 3, 1]]
    assert_idle(loader)


async def test_law_5_what_is_queued_waits_for_its_key_alone() -> None:
    work = LoadBatch()
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        await ask(tasks, loader, 1)
        (fresh,) = await ask(tasks, loader, 1, fresh=True)
        (other,) = await ask(tasks, loader, 2)
        assert work.batches == [[1], [2]]
        work.gates[0].set()
        await settle()
        assert work.batches == [[1], [2], [1]]
        work.release()
    assert (fresh.value, other.value) == ("value of 1", "value of 2")


async def test_a_queued_key_goes_into_the_batch_that_gathers() -> None:
    work = LoadBatch()
    loader = BatchLoader[int, str](work, max_concurrent_batches=2)
    async with loader, anyio.create_task_group() as tasks:
        await ask(tasks, loader, 1)
        await ask(tasks, loader, 2)
        (fresh,) = await ask(tasks, loader, 1, fresh=True)
        await ask(tasks, loader, 3)
        work.gates[0].set()
        await settle()
        assert work.batches == [[1], [2], [3, 1]]
        work.release()
    assert fresh.value == "value of 1"


async def test_law_4_one_key_never_runs_twice_at_once() -> None:
    work = LoadBatch(slow_cleanup=True)
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        (first,) = await ask(tasks, loader, 1)
        first.cancel()
        await settle()
        again = await ask(tasks, loader, 1, 2)  # 1 is cleaning up, 2 is not
        assert (work.batches, work.cancelled) == ([[1], [2]], 1)
        work.cleaned_up.set()
        await settle()
        assert work.batches == [[1], [2], [1]]
        work.release()
    assert [caller.value for caller in again] == ["value of 1", "value of 2"]
    assert_idle(loader)


@pytest.mark.parametrize("many", [False, True])
async def test_a_key_that_all_have_left_is_joined_while_its_batch_goes_on(many: bool) -> None:
    work = LoadBatch()
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        one, two = await ask(tasks, loader, 1, 2)
        one.cancel()
        await settle()
        assert {info.key: info.state for info in loader.flights()} == {
            1: FlightState.ABANDONED,
            2: FlightState.RUNNING,
        }
        again = await ask_many(tasks, loader, 1) if many else (await ask(tasks, loader, 1))[0]
        two.cancel()
        await settle()
        assert work.cancelled == 0, "somebody waits for 1 again"
        work.release()
    assert again.value == ({1: "value of 1"} if many else "value of 1")
    assert len(work.batches) == 1
    assert_idle(loader)


class TestForget:
    async def test_a_running_key_is_detached_and_loaded_anew_at_once(self) -> None:
        answers = iter(["old", "new"])
        work = LoadBatch(answer=lambda _: next(answers))
        async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
            (old,) = await ask(tasks, loader, 1)
            assert loader.forget(1)
            assert not loader.forget(1)
            (new,) = await ask(tasks, loader, 1)
            assert work.batches == [[1], [1]]
            assert [info.state for info in loader.flights()] == [
                FlightState.RUNNING,
                FlightState.DETACHED,
            ]
            work.gates[0].set()
            await settle()
            work.release()
        assert (old.value, new.value) == ("old", "new")
        assert_idle(loader)

    async def test_a_pending_key_stays_where_it_is(self) -> None:
        work = LoadBatch()
        loader = BatchLoader[int, str](work, max_concurrent_batches=1)
        async with loader, anyio.create_task_group() as tasks:
            await ask(tasks, loader, 1)
            await ask(tasks, loader, 2)
            assert not loader.forget(2)
            assert not loader.forget(3)
            await ask(tasks, loader, 2)
            work.release()
        assert work.batches == [[1], [2]]

    async def test_what_is_queued_behind_it_goes_into_the_next_batch(self) -> None:
        work = LoadBatch()
        async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
            await ask(tasks, loader, 1)
            (fresh,) = await ask(tasks, loader, 1, fresh=True)
            assert loader.forget(1)
            await settle()
            assert work.batches == [[1], [1]]
            work.release()
        assert fresh.value == "value of 1"
        assert_idle(loader)

    async def test_one_that_is_detached_keeps_its_batch_going_while_it_has_waiters(self) -> None:
        work = LoadBatch()
        async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
            (caller,) = await ask(tasks, loader, 1)
            loader.forget(1)
            caller.cancel()
            await settle()
            assert work.cancelled == 1
        assert_idle(loader)
