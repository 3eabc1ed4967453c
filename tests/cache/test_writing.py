"""Setting and invalidating: at once, and what was on its way is kept out of the cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from anyflight import ReadThroughCache
from tests.cache.getting import Source, assert_settled, fill, start_get
from tests.support import HandClock, Work, settle

pytestmark = pytest.mark.anyio

Cache = ReadThroughCache[Any, Any]
INVALIDATIONS: dict[str, Callable[[Cache], Awaitable[None]]] = {
    "invalidate": lambda cache: cache.invalidate(1),
    "invalidate_tag": lambda cache: cache.invalidate_tag("a"),
    "clear": lambda cache: cache.clear(),
}


@pytest.mark.parametrize("way", INVALIDATIONS)
async def test_what_was_invalidated_is_loaded_anew(way: str) -> None:
    source = Source()
    async with Cache(ttl=10) as cache:
        assert await cache.get(1, source, tags=["a", "b"]) == 1
        await INVALIDATIONS[way](cache)
        assert cache.peek(1) is None
        assert await cache.get(1, source) == 2
        assert_settled(cache)


@pytest.mark.parametrize("way", INVALIDATIONS)
async def test_a_late_result_is_kept_out_but_those_who_wait_get_it(way: str) -> None:
    old, new = Work(), Work()
    async with Cache(ttl=10) as cache, anyio.create_task_group() as tasks:
        before = [await start_get(tasks, cache, 1, old, "old", tags=["a"]) for _ in range(2)]
        await INVALIDATIONS[way](cache)
        after = await start_get(tasks, cache, 1, new, "new")
        assert len(new.calls) == 1  # it starts afresh, beside the other
        new.go.set()
        await settle()
        old.go.set()
        await settle()
        assert [caller.value for caller in before] == ["old", "old"]
        assert after.value == "new"
        assert cache.peek(1) == "new"
        assert cache.statistics().kept_out == 1
        assert_settled(cache)


@pytest.mark.parametrize("way", INVALIDATIONS)
async def test_a_late_result_is_kept_out_also_if_nothing_comes_after_it(way: str) -> None:
    work = Work()
    async with Cache(ttl=10) as cache, anyio.create_task_group() as tasks:
        before = await start_get(tasks, cache, 1, work, "old", tags=["a"])
        await INVALIDATIONS[way](cache)
        work.go.set()
        await settle()
        assert before.value == "old"
        assert cache.peek(1) is None
        assert_settled(cache)


@pytest.mark.parametrize("way", INVALIDATIONS)
async def test_a_late_error_is_kept_out(way: str) -> None:
    work = Work(fail=OSError("old"))
    async with Cache(ttl=10, error_ttl={OSError: 5}) as cache, anyio.create_task_group() as tasks:
        before = await start_get(tasks, cache, 1, work, tags=["a"])
        await INVALIDATIONS[way](cache)
        work.go.set()
        await settle()
        assert isinstance(before.outcome, OSError)
        assert cache.statistics().entries == 0
        assert cache.statistics().kept_out == 1
        assert_settled(cache)


async def test_a_flight_whose_function_has_not_been_called_is_not_too_late() -> None:
    source = Source()
    limiter = anyio.CapacityLimiter(1)
    async with Cache(ttl=10, limiter=limiter) as cache, anyio.create_task_group() as tasks:
        await limiter.acquire_on_behalf_of("somebody")
        caller = await start_get(tasks, cache, 1, source)
        await cache.invalidate(1)
        limiter.release_on_behalf_of("somebody")
        await settle()
        assert caller.value == cache.peek(1) == source.calls == 1


async def test_a_value_that_is_set_is_served_and_what_was_on_its_way_is_kept_out() -> None:
    work = Work()
    async with Cache(ttl=10) as cache, anyio.create_task_group() as tasks:
        before = await start_get(tasks, cache, 1, work, "old")
        await cache.set(1, "set")
        assert await cache.get(1, work, "new") == "set"
        work.go.set()
        await settle()
        assert before.value == "old"
        assert cache.peek(1) == "set"
        assert_settled(cache)


async def test_a_value_that_is_set_expires_like_any_other(clock: HandClock) -> None:
    async with Cache(ttl=10) as cache:
        await cache.set(1, "set", tags=["a"])
        clock.now = 9.9
        assert cache.peek(1) == "set"
        clock.now = 10
        assert cache.peek(1) is None
        await cache.set(1, "again", tags=["a"])
        await cache.invalidate_tag("a")
        assert cache.peek(1) is None
        assert_settled(cache)


async def test_a_value_that_is_set_is_refreshed_as_early_as_the_one_before(
    clock: HandClock,
) -> None:
    async def work() -> str:
        clock.advance(2)
        return "loaded"

    async with Cache(ttl=10, refresh_ahead=1) as cache:
        await cache.get(1, work)
        await cache.set(1, "set")
        assert cache._memory.entries[1].cost == 2
        await cache.set(2, "set")
        assert cache._memory.entries[2].cost == 0


async def test_of_flights_that_overlap_the_later_one_wins_and_the_earlier_may_be_first(
    clock: HandClock,
) -> None:
    works = [Work() for _ in range(3)]
    async with Cache(ttl=10, max_join_age=1) as cache, anyio.create_task_group() as tasks:
        for number, work in enumerate(works):
            await start_get(tasks, cache, 1, work, number)
            clock.advance(2)
        works[0].go.set()
        await settle()
        assert cache.peek(1) == 0  # better than nothing
        works[2].go.set()
        await settle()
        assert cache.peek(1) == 2
        works[1].go.set()
        await settle()
        assert cache.peek(1) == 2
        assert cache.statistics().kept_out == 1
        assert_settled(cache)


async def test_an_invalidation_of_one_key_leaves_others_alone() -> None:
    work = Work()
    async with Cache(ttl=10) as cache, anyio.create_task_group() as tasks:
        await fill(cache, 2, "two", tags=["b"])
        other = await start_get(tasks, cache, 3, work, "three", tags=["b"])
        await cache.invalidate(1)
        await cache.invalidate_tag("a")
        work.go.set()
        await settle()
        assert other.value == cache.peek(3) == "three"
        assert cache.peek(2) == "two"


async def test_the_refresh_of_a_value_that_is_invalidated_is_kept_out(clock: HandClock) -> None:
    """Also if its tag is one that the call which started the refresh did not name."""
    work = Work()
    cache = Cache(ttl=10, stale_while_revalidate=5)
    async with cache:
        await fill(cache, 1, "old", tags=["a"])
        clock.advance(10)
        assert await cache.get(1, work, "late") == "old"
        await settle()
        await cache.invalidate_tag("a")
        work.go.set()
        await settle()
        assert cache.peek(1) is None
        assert_settled(cache)


@pytest.mark.parametrize("way", [*INVALIDATIONS, "set"])
async def test_it_is_done_before_the_checkpoint(way: str) -> None:
    async with Cache(ttl=10) as cache:
        await fill(cache, 1, "old", tags=["a"])
        with anyio.CancelScope() as scope:
            scope.cancel()
            await (cache.set(1, "set") if way == "set" else INVALIDATIONS[way](cache))
        assert scope.cancelled_caught
        assert cache.peek(1) == ("set" if way == "set" else None)
        assert_settled(cache)


async def test_the_work_may_write_also_while_the_cache_is_being_closed() -> None:
    gate = anyio.Event()

    async def work() -> str:
        await gate.wait()
        await cache.set(2, "two")
        assert cache.peek(2) == "two"
        await cache.invalidate(2)
        await cache.clear()
        return "one"

    async with anyio.create_task_group() as tasks:
        async with Cache(ttl=10) as cache:
            caller = await start_get(tasks, cache, 1, work)
            gate.set()
    assert caller.value == "one"
    assert_settled(cache)
