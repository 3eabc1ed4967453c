"""Law 1: calls with equal keys that overlap in time share one execution."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyflight import Coalescer
from tests.support import Work, assert_idle, settle, start, start_many

pytestmark = pytest.mark.anyio


async def test_law_1_two_hundred_calls_cost_one_execution() -> None:
    work = Work()
    async with Coalescer[int, str]() as coalescer, anyio.create_task_group() as tasks:
        callers = await start_many(200, tasks, coalescer, 42, work, "user 42")
        work.go.set()
    assert [caller.value for caller in callers] == ["user 42"] * 200
    assert len(work.calls) == 1
    assert coalescer.statistics().joined == 199
    assert_idle(coalescer)


async def test_law_1_calls_one_after_the_other_share_nothing() -> None:
    work = Work()
    work.go.set()
    async with Coalescer[int, int]() as coalescer:
        assert [await coalescer.execute(1, work, n) for n in range(3)] == [0, 1, 2]
    assert coalescer.statistics().flights == 3


async def test_law_1_distinct_keys_never_wait_for_each_other() -> None:
    slow, quick = Work(), Work()
    quick.go.set()
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        waiting = await start(tasks, coalescer, "slow", slow, 1)
        assert await coalescer.execute("quick", quick, 2) == 2
        slow.go.set()
    assert waiting.value == 1


async def test_the_starters_function_and_arguments_are_used() -> None:
    first, second = Work(), Work()
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        callers = [
            await start(tasks, coalescer, "k", first, 1),
            await start(tasks, coalescer, "k", second, 2),
        ]
        first.go.set()
    assert [caller.value for caller in callers] == [1, 1]
    assert first.calls == [(1,)]
    assert second.calls == []


@pytest.mark.parametrize("value", [None, 0, "", (), False, [], NotImplemented])
async def test_every_value_can_be_shared(value: Any) -> None:
    work = Work()
    async with Coalescer[str, Any]() as coalescer, anyio.create_task_group() as tasks:
        callers = await start_many(3, tasks, coalescer, "k", work, value)
        work.go.set()
    assert all(caller.value is value for caller in callers)
    assert len(work.calls) == 1


class EqualRepr:
    def __repr__(self) -> str:
        return "same"


@pytest.mark.parametrize(
    ("one", "other", "executions"),
    [
        (1, True, 1),
        (1, 1.0, 1),
        (None, 0, 2),
        ("", None, 2),
        (float("nan"), float("nan"), 2),
        (EqualRepr(), EqualRepr(), 2),
        ((1, "a"), (1, "a"), 1),
    ],
)
async def test_keys_compare_as_a_dict_compares_them(one: Any, other: Any, executions: int) -> None:
    work = Work()
    async with Coalescer[Any, int]() as coalescer, anyio.create_task_group() as tasks:
        await start(tasks, coalescer, one, work, 1)
        await start(tasks, coalescer, other, work, 1)
        work.go.set()
    assert len(work.calls) == executions


async def test_two_coalescers_share_nothing() -> None:
    work = Work()
    async with Coalescer[int, int]() as one, Coalescer[int, int]() as other:
        async with anyio.create_task_group() as tasks:
            await start(tasks, one, 1, work, 1)
            await start(tasks, other, 1, work, 1)
            assert len(work.calls) == 2
            work.go.set()


async def test_work_may_call_the_coalescer_for_another_key() -> None:
    async def outer(coalescer: Coalescer[int, int]) -> int:
        return 1 + await coalescer.execute(2, inner)

    async def inner() -> int:
        return 10

    async with Coalescer[int, int]() as coalescer:
        assert await coalescer.execute(1, outer, coalescer) == 11
    assert coalescer.statistics().flights == 2


async def test_any_callable_that_returns_an_awaitable_will_do() -> None:
    class Promise:
        def __await__(self) -> Any:
            yield from anyio.lowlevel.checkpoint().__await__()
            return "kept"

    async with Coalescer[int, str]() as coalescer:
        assert await coalescer.execute(1, Promise) == "kept"


async def test_copy_is_made_for_each_waiter_that_joined_and_the_starter_gets_the_original() -> None:
    original = [1]
    work = Work()
    coalescer = Coalescer[str, list[int]](copy=list)
    async with coalescer, anyio.create_task_group() as tasks:
        callers = await start_many(4, tasks, coalescer, "k", work, original)
        work.go.set()
    assert callers[0].value is original
    assert len({id(caller.value) for caller in callers}) == 4
    assert all(caller.value == [1] for caller in callers)


async def test_a_copy_that_fails_harms_only_the_waiter_it_was_made_for() -> None:
    def copy(_value: int) -> int:
        raise ValueError("no copy")

    work = Work()
    async with Coalescer[str, int](copy=copy) as coalescer, anyio.create_task_group() as tasks:
        starter, joined = await start_many(2, tasks, coalescer, "k", work, 5)
        work.go.set()
    assert starter.value == 5
    assert str(joined.outcome) == "no copy"


async def test_what_the_starter_does_to_the_original_at_once_the_others_do_not_see() -> None:
    async def call() -> None:
        value = await coalescer.execute("k", work, [1, 2])
        seen.append(list(value))
        value.clear()

    seen: list[list[int]] = []
    work = Work()
    coalescer = Coalescer[str, list[int]](copy=list)
    async with coalescer, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(call)
        await settle()
        work.go.set()
    assert seen == [[1, 2]] * 5


async def test_a_starter_that_is_alone_pays_for_no_copy() -> None:
    work = Work()
    work.go.set()
    async with Coalescer[str, int](copy=_refuse) as coalescer:
        assert await coalescer.execute("k", work, 5) == 5


def _refuse(_value: int) -> int:
    raise AssertionError
