"""What an invalidation has overtaken while it was on its way is given to nobody."""

from __future__ import annotations

import anyio
import pytest

from anyflight import Coalescer
from anyflight.lease import MemoryStore
from tests.lease.leasing import Process
from tests.support import Work, settle, start

pytestmark = pytest.mark.anyio


async def test_an_outcome_on_its_way_during_an_invalidation_is_not_given_to_who_joins_later() -> (
    None
):
    memory, old, new = MemoryStore(), Work(), Work()
    one, two = Process(memory), Process(memory)
    new.go.set()
    async with one, two, Coalescer[str, str](across=two.lease) as flights:
        async with anyio.create_task_group() as tasks:
            await one.start(tasks, "k", old, "old")
            waiter = await start(tasks, flights, "k", new, "new")
            answer = two.store.after["acquire"] = anyio.Event()
            old.go.set()
            await settle()  # the outcome is on its way to the waiter

            await two.lease.invalidate("k")
            late = await start(tasks, flights, "k", new, "newer")
            del two.store.after["acquire"]
            answer.set()
            await settle()
            assert (waiter.value, late.value) == ("new", "new")
    two.assert_settled()


async def test_an_outcome_on_its_way_during_an_invalidation_elsewhere_is_asked_for_again() -> None:
    memory, old, new = MemoryStore(), Work(), Work()
    one, two = Process(memory), Process(memory)
    new.go.set()
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", old, "old")
        waiter = await two.start(tasks, "k", new, "new")
        answer = two.store.after["acquire"] = anyio.Event()
        old.go.set()
        await settle()
        await one.lease.invalidate("k")
        del two.store.after["acquire"]
        answer.set()
        await settle()
        assert waiter.value == "new"
    two.assert_settled()
