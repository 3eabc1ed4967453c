"""`across` and `set`: one request, in which the server drops what there was and tells all."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from anyflight.lease import MemoryStore
from tests.cache.fleet import fleet
from tests.cache.getting import Source, fill, start_call, start_get
from tests.support import Work, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]


async def returned(value: Any) -> Any:
    return value


async def test_it_takes_one_request_and_one_for_tags() -> None:
    async with fleet(2) as (one, two):
        await one.cache.set("k", "set")
        assert one.store.requests[2:] == ["replace"]
        assert one.peek() == await two.get("k", Source()) == "set"
        assert two.store.requests[2:] == ["read"]
        await one.cache.set("k", "again", tags=["a"])
        assert one.store.requests[3:] == ["tag", "replace"]
        assert two.peek() is None
        assert await two.get("k", Source()) == "again"
        await two.cache.invalidate_tag("a")
        assert one.peek() is two.peek() is None


async def test_who_waits_for_work_that_it_overtakes_gets_what_was_set() -> None:
    work = Work()
    async with fleet(3) as (one, two, three), anyio.create_task_group() as tasks:
        running = await start_get(tasks, one.cache, "k", work, "old")
        waiting = await start_get(tasks, two.cache, "k", work, "old")
        fresh = await start_get(tasks, two.cache, "k", work, "old", fresh=True)
        await three.cache.set("k", "set")
        await settle()
        assert waiting.value == "set"
        work.go.set()
        await settle()
        assert running.value == fresh.value == "old"  # the latter is of work that began later
        assert len(work.calls) == 2


async def test_of_two_at_once_all_keep_the_same() -> None:
    """Also whoever has read the first before it was overtaken."""
    async with fleet(3) as members, anyio.create_task_group() as tasks:
        one, two, three = members
        for member in members:
            member.store.held_back = []
        gates = [member.hold_answers("replace") for member in (one, two)]
        first = await start_call(tasks, lambda: one.cache.set("k", 1))
        assert await three.get("k", Source()) == 1
        second = await start_call(tasks, lambda: two.cache.set("k", 2))
        for gate in gates:
            gate.set()
        await settle()
        assert first.outcome is second.outcome is None
        for member in members:
            member.store.hear_late()
        assert [await member.get("k", Source()) for member in members] == [2, 2, 2]


@pytest.mark.parametrize("late", [False, True])
async def test_what_this_process_has_loaded_meanwhile_is_kept_if_it_came_later(late: bool) -> None:
    async with fleet(2) as (one, two), anyio.create_task_group() as tasks:
        gate = one.hold_answers("replace") if late else one.hold("replace")
        setting = await start_call(tasks, lambda: one.cache.set("k", "set"))
        assert await one.get("k", returned, "loaded") == "loaded"
        gate.set()
        await settle()
        assert setting.outcome is None
        expected = "loaded" if late else "set"
        assert await one.get("k", Source()) == await two.get("k", Source()) == expected


async def test_nor_is_it_if_its_end_comes_after_the_end_of_setting() -> None:
    async with fleet(2) as (one, two), anyio.create_task_group() as tasks:
        setting = one.hold("replace")
        await start_call(tasks, lambda: one.cache.set("k", "set"))
        committed = one.hold_answers("commit")
        loading = await start_get(tasks, one.cache, "k", returned, "loaded")
        setting.set()
        await settle()
        assert one.peek() == "set"
        committed.set()
        await settle()
        assert loading.value == "loaded"
        assert one.peek() == await two.get("k", Source()) == "set"


async def test_it_is_not_kept_here_if_it_was_invalidated_before_it_was_known_to_be_done() -> None:
    async with fleet(2) as (one, two), anyio.create_task_group() as tasks:
        gate = one.hold_answers("replace")
        await start_call(tasks, lambda: one.cache.set("k", "set"))
        await two.cache.invalidate("k")
        gate.set()
        await settle()
        assert one.peek() is None
        assert one.cache.statistics().kept_out == 1
        assert await one.get("k", returned, "new") == "new"


@pytest.mark.parametrize("value", [("no", "JSON"), "x" * 200])
async def test_what_cannot_be_shared_is_kept_here_and_dropped_elsewhere(
    caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    store = MemoryStore()
    lease = {"max_value_bytes": 100, "name": "users"}
    async with fleet(2, store, lease=lease) as (one, two):
        await fill(two.cache, "k", "old", tags=["a"])
        await one.cache.set("k", value, tags=["a"])
        assert one.peek() == value
        assert two.peek() is None
        assert await store.read("k") is None
        assert one.counts.refused == 1
        await two.cache.invalidate_tag("a")
        assert one.peek() is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("Lease 'users': could not")
