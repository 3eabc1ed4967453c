"""`get_many` with `across`: each key has a lease of its own, and what is left is one batch."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from anyflight import BatchLoader, MissingKeyError
from anyflight.lease import RemoteFlightError
from tests.cache.fleet import fleet
from tests.cache.getting import fill, start_call, start_get
from tests.support import CANCELLED, HandClock, Work, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]


class Batches:
    """A batch function that returns for each key which batch of all processes it was in."""

    def __init__(self) -> None:
        self.keys: list[list[str]] = []
        self.gate = anyio.Event()
        self.gate.set()
        self.missing: set[str] = set()
        self.bad: dict[str, Exception] = {}

    @property
    def asked(self) -> list[list[str]]:
        """The keys of each batch. Trio starts tasks in any order."""
        return [sorted(keys) for keys in self.keys]

    async def __call__(self, keys: list[str]) -> dict[str, Any]:
        self.keys.append(keys)
        number = len(self.keys)
        await self.gate.wait()
        found = {key: f"{key} of batch {number}" for key in keys if key not in self.missing}
        return found | self.bad


async def settle_all() -> None:
    """Return when every other task waits: on asyncio a task group's end is not seen at once."""
    for _ in range(2):
        await settle()


@pytest.fixture
def batches() -> Batches:
    return Batches()


async def test_what_one_process_loads_the_others_wait_for_and_load_the_rest(
    batches: Batches,
) -> None:
    batches.gate = anyio.Event()
    async with (
        fleet(2) as (one, two),
        BatchLoader(batches) as mine,
        BatchLoader(batches) as theirs,
        anyio.create_task_group() as tasks,
    ):
        await fill(two.cache, "a", "a")
        first = await start_call(tasks, lambda: one.cache.get_many(["c", "a", "b"], mine))
        second = await start_call(tasks, lambda: two.cache.get_many(["d", "b", "a", "c"], theirs))
        assert batches.asked == [["b", "c"], ["d"]]
        batches.gate.set()
        await settle_all()
        shared = {"a": "a", "b": "b of batch 1", "c": "c of batch 1"}
        assert first.value == shared
        assert list(first.value) == ["c", "a", "b"]
        assert second.value == shared | {"d": "d of batch 2"}
        assert list(second.value) == ["d", "b", "a", "c"]
        assert await one.cache.get_many(["d", "a"], mine) == {"d": "d of batch 2", "a": "a"}
        assert len(batches.keys) == 2


async def test_a_call_of_get_shares_its_keys_in_and_across_processes(batches: Batches) -> None:
    batches.gate = anyio.Event()
    work = Work()
    async with (
        fleet(2) as (one, two),
        BatchLoader(batches) as loader,
        anyio.create_task_group() as tasks,
    ):
        many = await start_call(tasks, lambda: one.cache.get_many(["a", "b"], loader))
        calls = [await start_get(tasks, each.cache, "a", work) for each in (one, two)]
        batches.gate.set()
        await settle_all()
        assert [call.value for call in calls] == [many.value["a"]] * 2
        assert work.calls == []


async def test_keys_without_a_value_are_left_out_everywhere(
    across_clock: HandClock, batches: Batches
) -> None:
    batches.gate = anyio.Event()
    batches.missing = {"b"}
    options: dict[str, Any] = {"error_ttl": {MissingKeyError: 5}}
    async with (
        fleet(2, **options) as members,
        BatchLoader(batches) as loader,
        BatchLoader(batches) as other,
        anyio.create_task_group() as tasks,
    ):
        loaders = (loader, other)
        calls = [
            await start_call(tasks, lambda each=each, by=by: each.cache.get_many("ab", by))
            for each, by in zip(members, loaders, strict=True)
        ]
        batches.gate.set()
        await settle_all()
        for call, member, by in zip(calls, members, loaders, strict=True):
            assert call.value == {"a": "a of batch 1"}
            assert await member.cache.get_many("ab", by) == call.value
        assert batches.asked == [["a", "b"]]
        across_clock.advance(5)
        assert list(await members[1].cache.get_many("ab", other)) == ["a"]
        assert batches.asked == [["a", "b"], ["b"]]


async def test_the_first_error_in_the_order_of_the_keys_is_raised_and_values_are_kept(
    batches: Batches,
) -> None:
    batches.gate = anyio.Event()
    batches.missing = {"a"}
    batches.bad = {"c": KeyError("c"), "b": ValueError("b")}
    async with (
        fleet(2) as (one, two),
        BatchLoader(batches) as mine,
        BatchLoader(batches) as theirs,
        anyio.create_task_group() as tasks,
    ):
        first = await start_call(tasks, lambda: one.cache.get_many("dcba", mine))
        second = await start_call(tasks, lambda: two.cache.get_many("abcd", theirs))
        batches.gate.set()
        await settle_all()
        assert isinstance(first.outcome, KeyError)
        assert isinstance(second.outcome, RemoteFlightError)
        assert second.outcome.type_name == "builtins.ValueError"
        assert one.peek("d") == two.peek("d") == "d of batch 1"


async def test_old_values_stand_in_for_an_error_if_there_is_one_for_each_key(
    across_clock: HandClock, batches: Batches
) -> None:
    async with fleet(2, stale_if_error=50) as (one, two), BatchLoader(batches) as loader:
        await fill(one.cache, "a", "old a")
        await fill(one.cache, "b", "old b")
        across_clock.advance(10)
        batches.bad = {"b": OSError("down")}
        assert await two.cache.get_many("ab", loader) == {"a": "a of batch 1", "b": "old b"}
        with pytest.raises(OSError, match="down"):
            await two.cache.get_many("abc", loader, fresh=True)


async def test_a_call_that_is_cancelled_leaves_its_keys_to_the_others(batches: Batches) -> None:
    batches.gate = anyio.Event()
    async with (
        fleet(2) as (one, two),
        BatchLoader(batches) as mine,
        BatchLoader(batches) as theirs,
        anyio.create_task_group() as tasks,
    ):
        first = await start_call(tasks, lambda: one.cache.get_many("ab", mine))
        local = await start_call(tasks, lambda: one.cache.get_many("b", mine))
        other = await start_call(tasks, lambda: two.cache.get_many("ab", theirs))
        first.cancel()
        await settle_all()
        assert first.outcome is CANCELLED
        assert batches.asked == [["a", "b"], ["a"]]
        batches.gate.set()
        await settle_all()
        assert local.value == {"b": "b of batch 1"}
        assert other.value == {"a": "a of batch 2", "b": "b of batch 1"}


class TestFresh:
    async def test_fresh_calls_load_again_and_share_nothing_that_has_begun(
        self, batches: Batches
    ) -> None:
        async with (
            fleet(2) as (one, two),
            BatchLoader(batches) as mine,
            BatchLoader(batches) as theirs,
            anyio.create_task_group() as tasks,
        ):
            await one.cache.get_many("a", mine)
            batches.gate = anyio.Event()
            old = await start_call(tasks, lambda: one.cache.get_many("ab", mine))
            new = await start_call(tasks, lambda: two.cache.get_many("ab", theirs, fresh=True))
            batches.gate.set()
            await settle_all()
            assert old.value == {"a": "a of batch 1", "b": "b of batch 2"}
            assert new.value == {"a": "a of batch 3", "b": "b of batch 4"}
            assert two.peek("b") == "b of batch 4"

    async def test_nor_what_a_loader_has_begun_by_way_of_a_flight_that_has_not(
        self, batches: Batches
    ) -> None:
        batches.gate = anyio.Event()
        limiter = anyio.CapacityLimiter(1)
        async with (
            fleet(1, limiter=limiter) as (one,),
            BatchLoader(batches) as loader,
            anyio.create_task_group() as tasks,
        ):
            assert await one.cache.get_many([], loader) == {}
            await start_call(tasks, lambda: loader.load("a"))
            await limiter.acquire_on_behalf_of("somebody")
            plain = await start_call(tasks, lambda: one.cache.get_many("a", loader))
            fresh = await start_call(tasks, lambda: one.cache.get_many("a", loader, fresh=True))
            limiter.release_on_behalf_of("somebody")
            await settle_all()
            batches.gate.set()
            await settle_all()
            assert fresh.value == plain.value == {"a": "a of batch 2"}


async def test_a_limiter_bounds_how_many_keys_are_loaded_at_once(batches: Batches) -> None:
    async with (
        fleet(1, limiter=anyio.CapacityLimiter(2)) as (one,),
        BatchLoader(batches) as loader,
    ):
        assert len(await one.cache.get_many("abcde", loader)) == 5
        assert sorted(map(len, batches.keys)) in ([1, 2, 2], [1, 1, 1, 2])
