"""`across`: the lease is opened before the cache and closed after it, and both again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import anyio
import pytest

from anyflight import ReadThroughCache
from anyflight.lease import Lease, MemoryStore
from tests.cache.fleet import fleet
from tests.cache.getting import GatedStore, Source, fill, start_get
from tests.support import Work, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]


def test_a_cache_has_one_second_tier() -> None:
    with pytest.raises(ValueError, match=r"either a store or across"):
        ReadThroughCache[str, Any](
            ttl=10, store=GatedStore(float), across=Lease[str](MemoryStore())
        )


def test_across_must_be_a_lease() -> None:
    with pytest.raises(TypeError, match=r"across must be of type anyflight.lease.Lease"):
        ReadThroughCache[str, Any](ttl=10, across=cast("Any", MemoryStore()))


async def test_the_lease_must_be_open() -> None:
    lease = Lease[str](MemoryStore())
    cache = ReadThroughCache[str, Any](ttl=10, across=lease)
    with pytest.raises(RuntimeError, match=r"is not open: open it with 'async with' before"):
        await cache.__aenter__()
    async with lease, cache:  # it can be opened still
        await fill(cache, "k", "value")
    with pytest.raises(RuntimeError, match="is not open"):
        await cache.__aenter__()


async def test_both_can_be_opened_again_and_memory_starts_empty() -> None:
    store, source = MemoryStore(), Source()
    lease = Lease[str](store)
    cache = ReadThroughCache[str, Any](ttl=10, across=lease)
    async with fleet(1, store) as (other,):
        for _ in range(3):
            async with lease, cache:
                assert cache.peek("k") is None
                assert await cache.get("k", source) == 1
                await other.cache.invalidate("other")
                assert cache.peek("k") == 1
        assert source.calls == 1


async def test_a_cache_that_is_closed_hears_nothing_and_keeps_nothing() -> None:
    store = MemoryStore()
    async with fleet(1, store) as (other,), Lease[str](store) as lease:
        cache = ReadThroughCache[str, Any](ttl=10, across=lease)
        async with cache:
            await fill(cache, "k", "value")
        await other.cache.invalidate("k")
        await other.cache.clear()
        assert cache.statistics().entries == 0


async def test_while_a_cache_is_being_closed_what_it_loads_is_still_shared() -> None:
    store, work = MemoryStore(), Work()
    async with (
        fleet(1, store) as (other,),
        anyio.create_task_group() as tasks,
        Lease[str](store) as lease,
    ):
        closing = ReadThroughCache[str, Any](ttl=10, across=lease, on_abandon="finish")

        async def open_and_close() -> None:
            async with closing:
                call = await start_get(tasks, closing, "k", work, "value", tags=["a"])
                call.cancel()

        tasks.start_soon(open_and_close)
        await settle()
        work.go.set()
        await settle()
        assert closing.statistics().entries == 0
        assert await other.get("k", Source()) == "value"


CALLS: dict[str, Callable[[ReadThroughCache[Any, Any]], Any]] = {
    "get": lambda cache: cache.get("k", Source()),
    "fresh": lambda cache: cache.get("kept", Source(), fresh=True),
    "set": lambda cache: cache.set("k", 1, tags=["a"]),
    "invalidate": lambda cache: cache.invalidate("k"),
    "invalidate_tag": lambda cache: cache.invalidate_tag("a"),
    "clear": lambda cache: cache.clear(),
}


@pytest.mark.parametrize("call", CALLS)
async def test_without_its_lease_a_cache_is_of_no_use(call: str) -> None:
    """What the server has is not taken: nobody would hear that it was invalidated."""
    lease = Lease[str](MemoryStore())
    cache = ReadThroughCache[str, Any](ttl=10, across=lease, max_entries=1)
    end = anyio.Event()

    async def keep_open() -> None:
        async with lease:
            await end.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_open)
        await settle()
        async with cache:
            await fill(cache, "k", "value")
            await fill(cache, "kept", "value")
            end.set()
            await settle()
            with pytest.raises(anyio.ClosedResourceError, match=r"^Lease 'lease' "):
                await CALLS[call](cache)
