"""`across`: a tag finds what is kept and what is being loaded, in whatever process, always."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from anyflight import ReadThroughCache
from anyflight.lease import MemoryStore
from tests.cache.fleet import Member, fleet
from tests.cache.getting import Source, start_get
from tests.support import HandClock, Work, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]

PATIENT: dict[str, Any] = {"lease": {"ttl": 1000}}


async def test_tags_cost_one_request_on_a_miss(across_clock: HandClock) -> None:
    async with fleet(2) as (one, two):
        await one.get("k", Source())
        assert one.store.requests[2:] == ["read", "acquire", "commit"]
        await one.cache.get("tagged", Source(), tags=["a", "b"])
        assert one.store.requests[5:] == ["read", "acquire", "tag", "commit"]
        await two.get("tagged", Source())
        assert two.store.requests[2:] == ["read"]


@pytest.mark.parametrize("ttl", [10, math.inf])
async def test_until_its_last_moment_a_value_is_found(across_clock: HandClock, ttl: float) -> None:
    async with fleet(2, ttl=ttl) as (one, two), anyio.create_task_group() as tasks:
        work = Work()
        call = await start_get(tasks, one.cache, "k", work, "value", tags=["a"])
        across_clock.advance(2)
        work.go.set()
        await settle()
        across_clock.advance(9.9)
        assert call.value == one.peek() == await two.get("k", Source()) == "value"
        await two.cache.invalidate_tag("a")
        assert one.peek() is two.peek() is None


async def test_so_is_an_error_that_is_kept_for_longer_than_any_value(
    across_clock: HandClock,
) -> None:
    source = Source()
    source.fail = KeyError("nobody")
    async with fleet(2, error_ttl={KeyError: 500}) as (one, two):
        with pytest.raises(KeyError):
            await one.cache.get("k", source, tags=["a"])
        across_clock.advance(499)
        await two.cache.invalidate_tag("a")
        source.fail = None
        assert await one.get("k", source) == 2


async def test_if_the_server_could_not_be_told_of_a_tag_it_does_not_get_the_value(
    across_clock: HandClock,
) -> None:
    """Else all would have it from there, also after an invalidation by that tag."""
    database = "old"

    async def read() -> str:
        await go.wait()
        return database

    go = anyio.Event()
    async with fleet(2) as (one, two), anyio.create_task_group() as tasks:
        one.store.fails["tag"] = ConnectionError("lost")
        mine = await start_get(tasks, one.cache, "k", read, tags=["a"])
        theirs = await start_get(tasks, two.cache, "k", read, tags=["a"])
        one.store.fails.clear()
        go.set()
        await settle()
        assert mine.value == theirs.value == one.peek() == two.peek() == "old"
        assert (one.counts.ran, two.counts.ran) == (1, 1)
        database = "new"
        await two.cache.invalidate_tag("a")
        assert await two.get("k", read) == "new"


async def test_a_tag_leaves_alone_what_does_not_have_it() -> None:
    work = Work()
    async with fleet(1) as (one,), anyio.create_task_group() as tasks:
        call = await start_get(tasks, one.cache, "k", work, "value", tags=["a"])
        await one.cache.invalidate_tag("b")
        second = await start_get(tasks, one.cache, "k", Source())
        work.go.set()
        await settle()
        assert call.value == second.value == one.peek() == "value"
        assert one.cache.statistics().coalescing.flights == 1


class TestLongWork:
    async def test_its_tags_are_renewed_at_its_end(self, across_clock: HandClock) -> None:
        work = Work()
        async with fleet(2, **PATIENT) as (one, two), anyio.create_task_group() as tasks:
            await start_get(tasks, one.cache, "k", work, "value", tags=["a"])
            across_clock.advance(50)
            work.go.set()
            await settle()
            assert one.store.requests.count("tag") == 2
            across_clock.advance(9.9)
            assert one.peek() == await two.get("k", Source()) == "value"
            await two.cache.invalidate_tag("a")
            assert one.peek() is two.peek() is None

    async def test_if_they_cannot_be_the_server_does_not_get_the_value(
        self, across_clock: HandClock
    ) -> None:
        work, store = Work(), MemoryStore()
        async with fleet(1, store, **PATIENT) as (one,), anyio.create_task_group() as tasks:
            await start_get(tasks, one.cache, "k", work, "value", tags=["a"])
            one.store.fails["tag"] = ConnectionError("lost")
            across_clock.advance(50)
            work.go.set()
            await settle()
            assert one.peek() == "value"
            assert await store.read("k") is None

    async def test_if_they_did_not_find_it_for_a_while_nobody_keeps_it(
        self, across_clock: HandClock
    ) -> None:
        work, store = Work(), MemoryStore()
        async with fleet(2, store, **PATIENT) as (one, two), anyio.create_task_group() as tasks:
            before = await start_get(tasks, one.cache, "k", work, "old", tags=["a"])
            across_clock.advance(100)
            await two.cache.invalidate_tag("a")
            work.go.set()
            await settle()
            assert before.value == "old"
            assert one.peek() is None
            assert one.cache.statistics().kept_out == 1
            assert await store.read("k") is None


@pytest.mark.parametrize("across", [True, False])
async def test_one_that_utf_8_has_no_bytes_for_is_refused_and_is_no_outage(across: bool) -> None:
    message = r"^UTF-8 has no bytes for tag '\\ud800'$"
    async with fleet(1) as (one,), ReadThroughCache[str, int](ttl=1) as alone:
        cache = one.cache if across else alone
        with pytest.raises(ValueError, match=message):
            await cache.invalidate_tag("\ud800")
        with pytest.raises(ValueError, match=message):
            await cache.set("k", 1, tags=["\ud800"])
        with pytest.raises(ValueError, match=message):
            await cache.get("k", Source(), tags=["\ud800"])
        await cache.invalidate_tag("ä")
        assert one.counts.failures == 0


async def test_they_are_given_by_calls_that_go_on_while_the_lease_is_closed(
    across_clock: HandClock,
) -> None:
    work, store = Work(), MemoryStore()
    async with fleet(1, store) as (two,), anyio.create_task_group() as tasks:
        one, close = Member(store), anyio.Event()

        async def hold_open() -> None:
            async with one.lease:
                await close.wait()

        tasks.start_soon(hold_open)
        await settle()
        async with one.cache:
            other = await start_get(tasks, two.cache, "k", work, 1)
            mine = await start_get(tasks, one.cache, "k", work, 2, tags=["a"])
            close.set()
            await settle()
            other.cancel()
            await settle()
            work.go.set()
            await settle()
            assert mine.value == 2
    assert await store.tagged("a") == ["k"]
