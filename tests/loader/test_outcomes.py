"""What the batch function returns or raises, and what the callers get of it."""

from __future__ import annotations

import copy
import gc
import traceback
import weakref
from collections import ChainMap, defaultdict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from unittest.mock import Mock

import anyio
import pytest

from anyflight import BatchLoader, CoalescerError, MissingKeyError
from tests.loader.batching import LoadBatch, ask, ask_many, assert_idle
from tests.support import CANCELLED, WAYS, Caller, settle

pytestmark = pytest.mark.anyio


async def test_a_key_that_is_absent_is_an_error_of_load_and_left_out_of_load_many() -> None:
    work = LoadBatch(absent=[2])
    work.release()
    async with BatchLoader[int, str](work) as loader:
        with pytest.raises(MissingKeyError, match=r"^there is no value for key 2$") as caught:
            await loader.load(2)
        assert isinstance(caught.value, KeyError)
        assert isinstance(caught.value, CoalescerError)
        assert caught.value.key == 2
        assert await loader.load_many([1, 2, 3]) == {1: "value of 1", 3: "value of 3"}
    assert loader.statistics().failed == 2
    assert_idle(loader)


@pytest.mark.parametrize("value", [None, 0, "", False, (), Exception])
async def test_any_value_will_do(value: object) -> None:
    work = LoadBatch(answer=lambda _: value)
    work.release()
    async with BatchLoader[int, object](work) as loader:
        assert await loader.load(1) is value
        assert await loader.load_many([1, 2]) == {1: value, 2: value}


async def test_an_exception_as_value_is_raised_for_that_key_alone() -> None:
    def answer(key: int) -> object:
        return ValueError("odd", key) if key % 2 else key

    work = LoadBatch(answer=answer)
    async with BatchLoader[int, Any](work) as loader, anyio.create_task_group() as tasks:
        callers = await ask(tasks, loader, 0, 1, 2, 3)
        many = await ask_many(tasks, loader, 0, 2)
        mixed = await ask_many(tasks, loader, 0, 3, 1)
        work.release()
    outcomes = [caller.outcome for caller in callers]
    assert [outcomes[0], outcomes[2], many.value] == [0, 2, {0: 0, 2: 2}]
    assert [repr(outcomes[1]), repr(outcomes[3])] == [
        "ValueError('odd', 1)",
        "ValueError('odd', 3)",
    ]
    assert repr(mixed.outcome) == "ValueError('odd', 3)", "the first in the order of the keys"
    assert len(work.batches) == 1
    assert_idle(loader)


@pytest.mark.parametrize("by_key", [True, False], ids=["one for all keys", "raised"])
async def test_law_8_each_waiter_gets_an_error_of_its_own(by_key: bool) -> None:
    error = ValueError("no")
    work = LoadBatch(answer=lambda _: error) if by_key else LoadBatch(fail=error)
    async with BatchLoader[int, Any](work) as loader, anyio.create_task_group() as tasks:
        callers = await ask(tasks, loader, 1, 2, 2, 3)
        callers.append(await ask_many(tasks, loader, 1, 3))
        work.release()
    seen = [caller.outcome for caller in callers]
    assert [repr(one) for one in seen] == ["ValueError('no')"] * 5
    assert len({id(one) for one in [*seen, error]}) == 6
    seen[0].add_note("mine")
    assert [getattr(one, "__notes__", None) for one in seen] == [["mine"], *[None] * 4]
    names = [frame.name for frame in traceback.extract_tb(seen[1].__traceback__)]
    ours = ["load", "deliver"] if by_key else ["load", "deliver", "_load", "__call__"]
    assert names[-len(ours) :] == ours


async def test_law_8_no_cycle_keeps_what_the_frames_of_the_work_hold() -> None:
    class Thing:
        pass

    async def load_batch(keys: list[int]) -> dict[int, int]:
        nonlocal reference
        thing = Thing()
        reference = weakref.ref(thing)
        raise ValueError("no")

    reference: weakref.ref[Thing] | None = None
    async with BatchLoader(load_batch) as loader:
        for load in (lambda: loader.load(1), lambda: loader.load_many([1, 2])):
            gc.collect()
            gc.disable()
            try:
                with pytest.raises(ValueError):
                    await load()
                await settle()
                assert reference is not None
                assert reference() is None
            finally:
                gc.enable()


async def test_load_each_returns_errors_beside_values() -> None:
    error = ValueError("odd")
    work = LoadBatch(answer=lambda key: error if key % 2 else key, absent=[4])
    loader = BatchLoader[int, Any](work, max_batch_size=2)
    async with loader, anyio.create_task_group() as tasks:
        caller = Caller()
        tasks.start_soon(caller.run, "scope", lambda: loader.load_each([3, 2, 1, 4, 3]))
        await settle()
        (one,) = await ask(tasks, loader, 1)
        work.release()
    found = caller.value
    assert [*found] == [3, 2, 1, 4]
    assert found[2] == 2
    assert isinstance(found[4], MissingKeyError)
    assert [repr(found[3]), repr(found[1])] == ["ValueError('odd')"] * 2
    assert len({id(each) for each in (found[3], found[1], one.outcome, error)}) == 4
    assert_idle(loader)


@pytest.mark.parametrize("way", WAYS)
async def test_load_each_leaves_its_keys_when_it_is_cancelled(way: str) -> None:
    work = LoadBatch()
    loader = BatchLoader[int, Any](work, max_batch_size=2)
    async with loader, anyio.create_task_group() as tasks:
        caller = Caller()
        tasks.start_soon(caller.run, way, lambda: loader.load_each([1, 2, 3]))
        await settle()
        work.gates[[*map(len, work.batches)].index(2)].set()
        await settle()
        caller.cancel()
        await settle()
        assert caller.outcome is CANCELLED
        assert work.cancelled == 1
    assert_idle(loader)


async def test_load_each_copies_for_those_who_joined() -> None:
    work = LoadBatch(answer=lambda key: [key])
    loader = BatchLoader[int, list[int]](work, copy=copy.copy)
    async with loader, anyio.create_task_group() as tasks:
        (one,) = await ask(tasks, loader, 1)
        caller = Caller()
        tasks.start_soon(caller.run, "scope", lambda: loader.load_each([1, 2]))
        await settle()
        work.release()
    assert caller.value == {1: [1], 2: [2]}
    assert caller.value[1] is not one.value


async def test_an_error_of_load_many_that_is_kept_keeps_no_values() -> None:
    class Value:
        """A value, to see when it goes."""

    def answer(key: int) -> object:
        if key == 3:
            return ValueError()
        values.append(weakref.ref(value := Value()))
        return value

    values: list[weakref.ref[Value]] = []
    work = LoadBatch(answer=answer)
    work.release()
    async with BatchLoader[int, Any](work) as loader:
        with pytest.raises(ValueError) as caught:
            await loader.load_many([1, 2, 3, 4])
        await settle()
        assert [value() for value in values] == [None] * 3
        del caught


@pytest.mark.parametrize("hostile", ["dead proxy", "repr", "stands in"])
async def test_one_odd_value_spoils_no_batch(hostile: str) -> None:
    class Odd(BaseException):
        def __repr__(self) -> str:
            raise RuntimeError("repr")

    def answer(key: int) -> Any:
        return odd if key == 2 else key

    odd: Any = {
        "dead proxy": weakref.proxy(LoadBatch()),
        "repr": Odd(),
        "stands in": Mock(spec=ValueError),
    }[hostile]
    work = LoadBatch(answer=answer)
    work.release()
    async with BatchLoader[int, Any](work) as loader, anyio.create_task_group() as tasks:
        one, two = await ask(tasks, loader, 1, 2)
    assert one.value == 1
    if hostile == "repr":
        assert isinstance(two.outcome, TypeError)
    else:
        assert two.outcome is odd


MAPPINGS: dict[str, Callable[[dict[int, str]], Mapping[int, str]]] = {
    "defaultdict": lambda found: defaultdict(lambda: "made up", found),
    "read-only": MappingProxyType,
    "chain": ChainMap,
}


@pytest.mark.parametrize("kind", MAPPINGS)
async def test_any_mapping_will_do(kind: str) -> None:
    async def load_batch(keys: list[int]) -> Mapping[int, str]:
        return MAPPINGS[kind]({key: "found" for key in keys if key > 0})

    async with BatchLoader(load_batch) as loader:
        assert await loader.load_many([-1, 0, 1]) == {1: "found"}


HINT = r" of type list: write dict\(zip\(keys, values\)\)$"


@pytest.mark.parametrize(
    ("result", "message"),
    [(["a", "b"], HINT), (None, " of type None"), ({1}, " of type set$")],
)
async def test_what_is_no_mapping_is_an_error_of_that_batch(result: object, message: str) -> None:
    async def load_batch(keys: list[int]) -> Any:
        return {3: "three"} if keys == [3] else result

    async with BatchLoader[int, Any](load_batch) as loader, anyio.create_task_group() as tasks:
        callers = await ask(tasks, loader, 1, 2)
        for caller in callers:
            with pytest.raises(TypeError, match=f"load_batch must return a mapping .*{message}"):
                raise caller.outcome
        assert await loader.load(3) == "three"
    assert_idle(loader)


async def test_a_mapping_that_fails_is_an_error_of_that_batch() -> None:
    class Hostile(dict[int, str]):
        def get(self, *_: object) -> Any:
            raise LookupError("hostile")

    async def load_batch(keys: list[int]) -> dict[int, str]:
        return Hostile()

    async with BatchLoader(load_batch) as loader:
        with pytest.raises(LookupError, match="hostile"):
            await loader.load(1)
        with pytest.raises(LookupError, match="hostile"):
            await loader.load_many([1, 2])
    assert_idle(loader)


async def test_a_function_that_returns_no_awaitable_is_an_error_of_the_batch() -> None:
    loader = BatchLoader[int, str](lambda keys: dict.fromkeys(keys, ""))  # type: ignore[arg-type,return-value]
    async with loader:
        with pytest.raises(TypeError, match="which cannot be awaited"):
            await loader.load(1)
    assert_idle(loader)


async def test_law_9_a_cancellation_as_value_is_an_error_that_says_so() -> None:
    work = LoadBatch(answer=lambda _: KeyboardInterrupt())
    work.release()
    async with BatchLoader[int, Any](work) as loader:
        with pytest.raises(TypeError, match=r"KeyboardInterrupt.* which is no Exception") as caught:
            await loader.load(1)
        assert isinstance(caught.value.__cause__, KeyboardInterrupt)


async def test_the_function_may_change_the_list_of_keys() -> None:
    async def load_batch(keys: list[int]) -> dict[int, int]:
        found = {key: -key for key in keys}
        keys.clear()
        return found

    async with BatchLoader(load_batch) as loader:
        assert await loader.load_many([1, 2]) == {1: -1, 2: -2}


async def test_values_are_copied_for_those_who_joined() -> None:
    work = LoadBatch(answer=lambda key: [key])
    loader = BatchLoader[int, list[int]](work, copy=copy.copy)
    async with loader, anyio.create_task_group() as tasks:
        (one,) = await ask(tasks, loader, 1)
        two, three = await ask(tasks, loader, 1, 1)
        many = await ask_many(tasks, loader, 1, 2)
        work.release()
    values = [one.value, two.value, three.value, many.value[1]]
    assert values == [[1]] * 4
    assert len({id(value) for value in values}) == 4
    assert many.value[2] == [2]
