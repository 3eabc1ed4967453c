"""`across`: what one process invalidates or sets, all forget, and nothing older comes back."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from anyflight import BatchLoader, ReadThroughCache
from anyflight.lease import MemoryStore
from tests.cache.fleet import change, fleet
from tests.cache.getting import Source, fill, start_call, start_get
from tests.support import Work, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]

WAYS = ("invalidate", "invalidate_tag", "clear", "set")


def kept(store: MemoryStore) -> set[str]:
    """Return the keys of which the server has an outcome."""
    return {key for key, state in store._states.items() if state.outcome is not None}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.mark.parametrize("way", WAYS)
class TestEveryWay:
    async def test_reaches_the_memory_of_all(self, store: MemoryStore, way: str) -> None:
        async with fleet(3, store) as members:
            for member in members:
                await fill(member.cache, "k", "old", tags=["a"])
                await fill(member.cache, "other", "other", tags=["b"])
            await change(members[0], way)
            await settle()
            expected = "set" if way == "set" else "new"
            assert [each.peek() for each in members[1:]] == [None, None]
            for member in members:
                assert await member.get("k", returned, "new") == expected
                assert member.peek("other") == (None if way == "clear" else "other")
            assert kept(store) == ({"k"} if way == "clear" else {"k", "other"})

    async def test_keeps_out_what_was_being_loaded_in_any_process(
        self, store: MemoryStore, way: str
    ) -> None:
        work = Work()
        async with fleet(3, store) as members, anyio.create_task_group() as tasks:
            before = [await start_get(tasks, members[0].cache, "k", work, "old", tags=["a"])]
            before += [
                await start_get(tasks, each.cache, "k", returned, "new", tags=["a"])
                for each in members[1:]
            ]
            await change(members[2], way)
            await settle()
            expected = "set" if way == "set" else "new"
            for member in members:
                assert await member.get("k", returned, "new") == expected
            work.go.set()
            await settle()
            assert before[0].value == "old"  # it was asked for before, and runs there
            assert {caller.value for caller in before[1:]} == {expected}
            assert {each.peek() for each in members} == {expected}
            assert len(work.calls) == 1
            assert members[0].counts.fenced == 1
            assert members[0].cache.statistics().kept_out == 1

    @pytest.mark.parametrize("method", ["read", "acquire", "commit"])
    @pytest.mark.parametrize("late", ["request", "answer"])
    async def test_whatever_it_overtakes(
        self, store: MemoryStore, way: str, method: str, late: str
    ) -> None:
        """A process is at any point of a load, or of a look at the server, and hears in time."""
        async with fleet(2, store) as (one, two), anyio.create_task_group() as tasks:
            if method == "read":
                await fill(two.cache, "k", "old", tags=["a"])
            gate = one.hold(method) if late == "request" else one.hold_answers(method)
            database = "old"

            async def read() -> str:
                return database

            before = await start_get(tasks, one.cache, "k", read, tags=["a"])
            database = "new"
            await change(two, way)
            await settle()
            gate.set()
            await settle()
            new = "set" if way == "set" else "new"
            read_before = (method, late) == ("read", "answer") or method == "commit"
            assert before.value in ({"old"} if read_before else {"new", new})
            assert one.peek() in {None, new}
            assert await one.get("k", read) == await two.get("k", read) == new

    @pytest.mark.parametrize("method", ["read", "acquire", "commit"])
    async def test_before_it_is_told_a_process_goes_on_with_what_it_has(
        self, store: MemoryStore, way: str, method: str
    ) -> None:
        """The message is later than an answer that the server gave before, or after."""
        async with fleet(2, store) as (one, two), anyio.create_task_group() as tasks:
            if method == "read":
                await fill(two.cache, "k", "old", tags=["a"])
            one.store.held_back = []
            gate = one.hold_answers(method)
            database = "old"

            async def read() -> str:
                return database

            before = await start_get(tasks, one.cache, "k", read, tags=["a"])
            database = "new"
            await change(two, way)
            gate.set()
            await settle()
            assert before.value == ("new" if method == "acquire" else "old")
            one.store.hear_late()
            await settle()
            new = "set" if way == "set" else "new"
            assert one.peek() in {None, new}
            assert await one.get("k", read) == await two.get("k", read) == new

    async def test_does_not_forget_what_was_loaded_after_it(
        self, store: MemoryStore, way: str
    ) -> None:
        async with fleet(2, store) as (one, two):
            await fill(one.cache, "k", "old", tags=["a"])
            one.store.held_back = []
            await change(one, way)
            value = await one.get("k", returned, "new")
            one.store.hear_late()
            await settle()
            assert one.peek() == value == await two.get("k", returned, "other")

    async def test_lets_nothing_be_read_from_the_server_until_that_has_obeyed(
        self, store: MemoryStore, way: str
    ) -> None:
        async with fleet(1, store) as (one,), anyio.create_task_group() as tasks:
            await fill(one.cache, "k", "old", tags=["a"])
            gate = one.hold("invalidate", "replace", "tagged", "keys")
            changing = await start_call(tasks, lambda: change(one, way))
            assert await one.get("k", returned, "new") == "new"
            gate.set()
            await settle()
            assert changing.outcome is None
            expected = "set" if way == "set" else "newer"
            assert await one.get("k", returned, "newer") in {expected, "new"}

    async def test_reaches_other_caches_of_the_same_process(
        self, store: MemoryStore, way: str
    ) -> None:
        async with fleet(1, store) as (one,):
            second = ReadThroughCache[Any, Any](ttl=10, across=one.lease)
            async with second:
                await fill(one.cache, "k", "old", tags=["a"])
                assert await second.get("k", Source()) == "old"
                await change(one, way)
                assert second.peek("k") is None

    async def test_what_was_being_loaded_without_the_server_is_not_kept_either(
        self, store: MemoryStore, way: str
    ) -> None:
        work = Work()
        async with fleet(2, store) as (one, two), anyio.create_task_group() as tasks:
            one.store.fails["acquire"] = OSError("lost")
            before = await start_get(tasks, one.cache, "k", work, "old", tags=["a"])
            one.store.fails.clear()
            await change(two, way)
            work.go.set()
            await settle()
            assert before.value == "old"
            # Nobody could be told of the tag.
            assert one.peek() == ("old" if way == "invalidate_tag" else None)


async def returned(value: Any) -> Any:
    return value


async def test_until_a_message_comes_a_process_serves_what_it_has() -> None:
    async with fleet(2) as (one, two):
        await fill(one.cache, "k", "old")
        one.store.held_back = []
        await two.cache.invalidate("k")
        assert await one.get("k", Source()) == "old"
        one.store.hear_late()
        assert one.peek() is None


async def test_a_loader_joins_nothing_from_before_it() -> None:
    go = anyio.Event()

    async def load_batch(keys: list[str]) -> dict[str, str]:
        found = dict.fromkeys(keys, database)
        await go.wait()
        return found

    database = "old"
    async with (
        fleet(2) as (one, two),
        BatchLoader(load_batch) as loader,
        anyio.create_task_group() as tasks,
    ):
        before = await start_call(tasks, lambda: one.cache.get_many(["k"], loader))
        database = "new"
        await two.cache.invalidate("k")
        after = await start_call(tasks, lambda: one.cache.get_many(["k"], loader))
        go.set()
        await settle()
        assert before.value == {"k": "old"}
        assert after.value == {"k": "new"}
        assert one.peek() == "new"
