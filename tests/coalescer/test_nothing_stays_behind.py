"""Law 16: after the last landing the tables are empty, and nobody holds memory."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyflight import Coalescer, TooManyWaitersError
from tests.support import ASYNCIO_BACKENDS, Work, assert_idle, settle, start, start_many

pytestmark = pytest.mark.anyio


class Thing:
    """A key, an argument or a value, to see when it goes."""


async def test_law_16_keys_arguments_and_values_go_when_the_last_waiter_has_them() -> None:
    async def work(argument: Thing) -> Thing:
        nonlocal value
        thing = Thing()
        value = weakref.ref(thing)
        return thing

    async with Coalescer[Thing, Thing]() as coalescer:
        key, argument = Thing(), Thing()
        refs = [weakref.ref(key), weakref.ref(argument)]
        value: weakref.ref[Thing] | None = None
        gc.collect()
        gc.disable()
        try:
            await coalescer.execute(key, work, argument)
            await checkpoint()
            del key, argument
            assert value is not None
            assert [ref() for ref in [*refs, value]] == [None, None, None]
        finally:
            gc.enable()
    assert_idle(coalescer)


async def test_law_16_a_waiter_that_left_holds_nothing_while_the_flight_goes_on() -> None:
    def request_of(size: int) -> bytearray:
        return bytearray(size)

    async def call() -> None:
        request = request_of(100_000)
        await coalescer.execute(1, work, 1)
        del request

    work = Work()
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        await start(tasks, coalescer, 1, work, 1)
        tracemalloc.start()
        try:
            async with anyio.create_task_group() as waiters:
                for _ in range(100):
                    waiters.start_soon(call)
                await settle()
                assert tracemalloc.get_traced_memory()[0] > 10_000_000
                waiters.cancel_scope.cancel()
            await settle()
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 1_000_000
        finally:
            tracemalloc.stop()
        assert coalescer.statistics().waiting == 1
        work.go.set()


async def test_law_16_many_distinct_keys_leave_nothing() -> None:
    async def work(value: int) -> int:
        return value

    async with Coalescer[int, int]() as coalescer:
        for key in range(100):
            await coalescer.execute(key, work, key)
        gc.collect()
        tracemalloc.start()
        try:
            for key in range(3000):
                await coalescer.execute(key, work, key)
            gc.collect()
            # Less than one pointer a key: 3,000 keys, had they stayed, would hold far more.
            assert tracemalloc.get_traced_memory()[0] < 24_000
        finally:
            tracemalloc.stop()
    assert_idle(coalescer)


async def test_law_16_the_tables_are_empty_after_every_kind_of_end() -> None:
    coalescer = Coalescer[int, int]()
    async with coalescer, anyio.create_task_group() as tasks:
        works = [Work(), Work(fail=ValueError()), Work(slow_cleanup=True)]
        for key, work in enumerate(works):
            for fresh in (False, True):
                await start_many(3, tasks, coalescer, key, work, 1, fresh=fresh)
            coalescer.forget(key)
            callers = await start_many(3, tasks, coalescer, key, work, 1, fresh=True)
            callers[0].cancel()
        assert coalescer.statistics().in_flight == 9
        for work in works:
            work.go.set()
            work.cleaned_up.set()
    assert_idle(coalescer)


@pytest.mark.parametrize("anyio_backend", ASYNCIO_BACKENDS)
@pytest.mark.parametrize("attempt", [1, 2])
async def test_law_16_a_cancelled_task_that_is_kept_holds_no_result(attempt: int) -> None:
    """A task of asyncio keeps its cancellation, with all frames, until somebody awaits it."""

    async def work() -> Thing:
        await go.wait()
        thing = Thing()
        refs.append(weakref.ref(thing))
        return thing

    async def fail() -> Thing:
        await failing.wait()
        raise ValueError

    go, failing, refs = anyio.Event(), anyio.Event(), []
    async with Coalescer[int, Thing](retry_on=ValueError) as coalescer:
        async with anyio.create_task_group() as tasks:
            if attempt == 2:
                await start(tasks, coalescer, 1, fail)
            joined = await start(tasks, coalescer, 1, work)
            kept = asyncio.create_task(coalescer.execute(1, work))
            await settle()
            failing.set()
            await settle()
            kept.cancel()
            await settle()
            assert kept.cancelled()
            go.set()
        del joined
        gc.collect()
        assert [ref() for ref in refs] == [None]


async def test_law_16_an_error_of_a_refused_call_that_is_kept_holds_no_result() -> None:
    async def work() -> Thing:
        await go.wait()
        thing = Thing()
        refs.append(weakref.ref(thing))
        return thing

    go, refs = anyio.Event(), []
    async with Coalescer[int, Thing](max_waiters=1) as coalescer:
        async with anyio.create_task_group() as tasks:
            caller = await start(tasks, coalescer, 1, work)
            with pytest.raises(TooManyWaitersError) as kept:
                await coalescer.execute(1, work)
            go.set()
        del caller
        gc.collect()
        assert [ref() for ref in refs] == [None]
        assert kept.value.key == 1
