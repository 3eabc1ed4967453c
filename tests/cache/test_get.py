"""What `get` answers: a hit at once, a miss through one flight, and a copy to each who wants it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from anyflight import FlightCancelledError, ReadThroughCache
from tests.cache.getting import Source, assert_settled, fill, start_get
from tests.support import HandClock, Work, settle

pytestmark = pytest.mark.anyio


async def test_a_thousand_calls_that_miss_share_one_execution() -> None:
    work = Work()
    async with ReadThroughCache[int, str](ttl=10) as cache, anyio.create_task_group() as tasks:
        got: list[str] = []

        async def call() -> None:
            got.append(await cache.get(1, work, "value"))

        for _ in range(1000):
            tasks.start_soon(call)
        await settle()
        work.go.set()
    assert got == ["value"] * 1000
    assert len(work.calls) == 1
    assert cache.statistics().misses == 1000


async def test_a_hit_is_answered_without_a_turn_of_the_event_loop(clock: HandClock) -> None:
    async with ReadThroughCache[int, int](ttl=10) as cache:
        source = Source()
        await cache.get(1, source)
        for _ in range(3):
            hit = cache.get(1, source)
            with pytest.raises(StopIteration) as stop:
                hit.send(None)
            assert stop.value.value == 1
        with anyio.CancelScope() as scope:  # nor does it notice that it is cancelled
            scope.cancel()
            assert await cache.get(1, source) == 1
        assert cache.statistics().hits == 4
        assert cache.statistics().coalescing.flights == source.calls == 1
        assert_settled(cache)


async def test_a_value_is_loaded_anew_at_the_moment_at_which_it_expires(clock: HandClock) -> None:
    source = Source()
    async with ReadThroughCache[int, int](ttl=10) as cache:
        assert await cache.get(1, source) == 1
        clock.advance(math.nextafter(10, 0))
        assert await cache.get(1, source) == 1
        clock.now = 10
        assert await cache.get(1, source) == 2


async def test_a_thousand_calls_when_a_hot_key_expires_cost_one_execution(clock: HandClock) -> None:
    work = Work()
    work.go.set()
    async with ReadThroughCache[int, int](ttl=10) as cache, anyio.create_task_group() as tasks:
        await cache.get(1, work, 1)
        clock.advance(10)
        work.go = anyio.Event()
        got: list[int] = []

        async def call() -> None:
            got.append(await cache.get(1, work, 2))

        for _ in range(1000):
            tasks.start_soon(call)
        await settle()
        work.go.set()
    assert got == [2] * 1000
    assert len(work.calls) == 2
    assert work.most_running == 1


async def test_the_value_none_is_kept_like_any_other() -> None:
    async with ReadThroughCache[int, None](ttl=10) as cache:
        for _ in range(2):
            await fill(cache, 1, None)
        assert cache.statistics().hits == 1


async def test_keys_are_compared_as_a_dict_does(clock: HandClock) -> None:
    async with ReadThroughCache[Any, int](ttl=10) as cache:
        source = Source()
        assert [await cache.get(key, source) for key in (1, True, 1.0, "1", (1,))] == [
            1,
            1,
            1,
            2,
            3,
        ]


async def test_an_error_is_not_kept_unless_it_is_said_so() -> None:
    source = Source()
    source.fail = OSError("down")
    async with ReadThroughCache[int, int](ttl=10) as cache:
        for _ in range(2):
            with pytest.raises(OSError, match="down"):
                await cache.get(1, source)
        source.fail = None
        assert await cache.get(1, source) == 3
        assert_settled(cache)


async def test_a_function_that_returns_no_awaitable_is_an_error_of_the_work() -> None:
    async with ReadThroughCache[int, int](ttl=10) as cache:
        with pytest.raises(TypeError, match=r"int.* which cannot be awaited"):
            await cache.get(1, int)  # type: ignore[arg-type]
        assert_settled(cache)


async def test_a_caller_that_is_cancelled_harms_no_other() -> None:
    work = Work()
    async with ReadThroughCache[int, int](ttl=10) as cache, anyio.create_task_group() as tasks:
        first = await start_get(tasks, cache, 1, work, 1)
        second = await start_get(tasks, cache, 1, work, 2)
        first.cancel()
        await settle()
        work.go.set()
        await settle()
        assert second.value == 1
        assert cache.peek(1) == 1
        assert_settled(cache)


async def test_work_that_all_have_left_is_cancelled_and_nothing_is_kept() -> None:
    work = Work()
    async with ReadThroughCache[int, int](ttl=10) as cache, anyio.create_task_group() as tasks:
        caller = await start_get(tasks, cache, 1, work, 1)
        caller.cancel()
        await settle()
        assert work.cancelled == 1
        assert cache.peek(1) is None
        assert_settled(cache)


async def test_with_finish_work_that_all_have_left_fills_the_cache() -> None:
    work = Work()
    cache = ReadThroughCache[int, int](ttl=10, on_abandon="finish")
    async with cache, anyio.create_task_group() as tasks:
        caller = await start_get(tasks, cache, 1, work, 1)
        caller.cancel()
        await settle()
        work.go.set()
        await settle()
        assert cache.peek(1) == 1


async def test_everybody_gets_a_copy_of_what_is_kept() -> None:
    work = Work()
    cache = ReadThroughCache[int, list[int]](ttl=10, copy=list)
    async with cache, anyio.create_task_group() as tasks:
        callers = [await start_get(tasks, cache, 1, work, [1]) for _ in range(3)]
        work.go.set()
        await settle()
        got = [caller.value for caller in callers]
        got += [await cache.get(1, work, [2]), cache.peek(1)]
        for number, value in enumerate(got):
            value.append(number)
        assert await cache.get(1, work, [3]) == [1]
        mine = [5]
        await cache.set(1, mine)
        mine.append(6)
        assert cache.peek(1) == [5]


async def test_the_options_of_a_coalescer_hold_for_the_flights() -> None:
    cache = ReadThroughCache[int, int](ttl=10, name="users", flight_timeout=0.001)
    async with cache:
        with pytest.raises(TimeoutError, match=r"took 0\.001 seconds"):
            await cache.get(1, anyio.sleep_forever)
        assert cache.statistics().coalescing.timed_out == 1
    assert_settled(cache)


async def test_with_retry_on_those_that_joined_get_the_second_outcome() -> None:
    source, gate = Source(), Work(fail=OSError("bad luck"))
    cache = ReadThroughCache[int, int](ttl=10, retry_on=OSError)
    async with cache, anyio.create_task_group() as tasks:
        starter = await start_get(tasks, cache, 1, gate)
        others = [await start_get(tasks, cache, 1, source) for _ in range(3)]
        gate.go.set()
        await settle()
        assert isinstance(starter.outcome, OSError)
        assert [other.value for other in others] == [1, 1, 1]
        assert cache.peek(1) == 1


async def test_when_its_owner_is_cancelled_calls_get_an_error_and_the_cache_is_empty(
    clock: HandClock,
) -> None:
    work = Work()
    cache = ReadThroughCache[int, int](ttl=10, stale_if_error=10)
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as owner:
            async with cache:
                await fill(cache, 1, 1)
                clock.advance(10)
                caller = await start_get(tasks, cache, 1, work)
                owner.cancel()
                await anyio.sleep_forever()
    assert isinstance(caller.outcome, FlightCancelledError)
    assert cache.statistics().entries == 0
    assert_settled(cache)


async def test_while_the_cache_is_being_closed_no_value_stands_in_for_an_error(
    clock: HandClock,
) -> None:
    work = Work(fail=OSError("down"))
    cache = ReadThroughCache[int, int](ttl=10, stale_if_error=10)
    async with anyio.create_task_group() as tasks:
        async with cache:
            await fill(cache, 1, 1)
            clock.advance(10)
            caller = await start_get(tasks, cache, 1, work)
            tasks.start_soon(settle_and, work.go.set)
    assert isinstance(caller.outcome, OSError)


async def settle_and(then: Callable[[], object]) -> None:
    await settle()
    then()


async def test_a_cache_that_is_opened_again_starts_empty() -> None:
    cache = ReadThroughCache[int, int](ttl=10)
    source = Source()
    for number in (1, 2):
        async with cache:
            assert await cache.get(1, source, tags=["a"]) == number
            assert cache.statistics().entries == 1
        assert cache.statistics().entries == 0
        assert_settled(cache)


def test_a_cache_goes_from_one_event_loop_to_another() -> None:
    cache = ReadThroughCache[int, int](ttl=10)

    async def main() -> int:
        async with cache:
            return await cache.get(1, Source())

    for backend in ("asyncio", "trio", "asyncio"):
        assert anyio.run(main, backend=backend) == 1


async def test_what_a_cache_is_called_shows_in_its_repr() -> None:
    cache = ReadThroughCache[int, int](ttl=10, name="users")
    assert repr(cache) == "<ReadThroughCache 'users' (new), 0 entries>"
    async with cache:
        await fill(cache, 1, 1)
        assert repr(cache) == "<ReadThroughCache 'users' (open), 1 entries>"
