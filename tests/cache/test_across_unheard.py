"""`across` while invalidations go unheard: when they can be heard again, memory is forgotten."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from anyflight.lease import MemoryStore
from tests.cache.fleet import Member, fleet
from tests.cache.getting import Source, fill, start_get
from tests.support import HandClock, Work, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]


async def returned(value: Any) -> Any:
    return value


async def test_when_the_subscription_is_had_again_all_is_forgotten(
    across_clock: HandClock,
) -> None:
    work = Work()
    async with fleet(2) as (one, two), anyio.create_task_group() as tasks:
        await fill(one.cache, "k", "old")
        await fill(one.cache, "other", "other")
        loading = await start_get(tasks, one.cache, "loading", work, "old")
        one.store.cut()
        await settle()
        await two.cache.invalidate("k")
        await two.cache.invalidate("loading")
        assert one.peek() == "old"
        across_clock.advance(0.05)
        await settle()
        assert one.counts.reconnects == 1
        assert one.peek() is one.peek("other") is None
        work.go.set()
        await settle()
        assert loading.value == "old"
        assert one.peek("loading") is None
        assert await one.get("loading", returned, "new") == "new"
        assert await one.get("other", Source()) == "other"  # the server has it still


async def test_so_it_is_if_it_was_not_had_when_the_lease_was_opened(
    across_clock: HandClock,
) -> None:
    """The server takes its time: the lease opens without, and caches fill from what it answers."""
    store = MemoryStore()
    late = Member(store)
    gate = late.hold("listen")
    done = anyio.Event()

    async def run() -> None:
        async with late:
            await done.wait()

    async with fleet(1, store) as (one,), anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await settle()
        across_clock.advance(1)
        await settle()
        await fill(one.cache, "k", "old")
        assert await late.get("k", Source()) == "old"
        await one.cache.invalidate("k")
        assert late.peek() == "old"
        gate.set()
        across_clock.advance(0.05)
        await settle()
        assert late.peek() is None
        assert late.counts.reconnects == 1
        done.set()
