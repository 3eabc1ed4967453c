"""`fresh=True` takes nothing that is kept and no result from before the call, and fills anew."""

from __future__ import annotations

import anyio
import pytest

from anyflight import ReadThroughCache
from tests.cache.getting import Source, assert_settled, fill, start_get
from tests.support import Work, settle

pytestmark = pytest.mark.anyio


async def test_a_fresh_call_passes_by_what_is_kept_and_fills_anew() -> None:
    source = Source()
    async with ReadThroughCache[int, int](ttl=10) as cache:
        assert await cache.get(1, source) == 1
        assert await cache.get(1, source, fresh=True) == 2
        assert await cache.get(1, source) == 2
        assert cache.statistics().misses == 2
        assert_settled(cache)


async def test_a_fresh_call_does_not_join_work_that_has_begun() -> None:
    old, new = Work(), Work()
    new.go.set()
    async with ReadThroughCache[int, str](ttl=10) as cache, anyio.create_task_group() as tasks:
        before = await start_get(tasks, cache, 1, old, "old")
        fresh = [await start_get(tasks, cache, 1, new, "new", fresh=True) for _ in range(3)]
        assert new.calls == []
        old.go.set()
        await settle()
        assert before.value == "old"
        assert [caller.value for caller in fresh] == ["new"] * 3
        assert cache.peek(1) == "new"
        assert len(new.calls) == 1


async def test_while_a_fresh_call_waits_others_are_served_what_is_kept() -> None:
    work = Work()
    async with ReadThroughCache[int, str](ttl=10) as cache, anyio.create_task_group() as tasks:
        await fill(cache, 1, "old")
        fresh = await start_get(tasks, cache, 1, work, "new", fresh=True)
        assert await cache.get(1, work) == "old"
        work.go.set()
        await settle()
        assert fresh.value == "new"
        assert await cache.get(1, work) == "new"
