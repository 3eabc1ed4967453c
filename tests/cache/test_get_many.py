"""`get_many`: memory first, the rest in few executions of a batch loader, each value kept."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from anyflight import BatchLoader, DeadlockError, MissingKeyError, ReadThroughCache
from tests.cache.getting import GatedStore, Source, assert_settled, fill, start_call, start_get
from tests.support import Caller, HandClock, Work, settle

pytestmark = pytest.mark.anyio

Cache = ReadThroughCache[Any, Any]


class Batches:
    """A batch function that returns for each key how many batches there were, and the key."""

    def __init__(self) -> None:
        self.keys: list[list[Any]] = []
        self.gate = anyio.Event()
        self.gate.set()
        self.missing: set[Any] = set()
        self.bad: dict[Any, Exception] = {}
        self.fail: Exception | None = None

    async def __call__(self, keys: list[Any]) -> Mapping[Any, Any]:
        self.keys.append(keys)
        number = len(self.keys)
        await self.gate.wait()
        if self.fail is not None:
            raise self.fail
        found = {key: f"{key} of batch {number}" for key in keys if key not in self.missing}
        return found | self.bad

    def shut(self) -> None:
        self.gate = anyio.Event()


async def start_many(
    tasks: anyio.abc.TaskGroup, cache: Cache, keys: Any, loader: Any, **options: Any
) -> Caller:
    return await start_call(tasks, lambda: cache.get_many(keys, loader, **options))


@pytest.fixture
def batches() -> Batches:
    return Batches()


async def test_what_is_in_memory_is_not_loaded_and_the_rest_is_loaded_together(
    batches: Batches,
) -> None:
    async with BatchLoader(batches) as loader, Cache(ttl=10) as cache:
        await fill(cache, 2, "two")
        got = await cache.get_many([3, 2, 1, 3], loader, tags=["a"])
        assert list(got.items()) == [(3, "3 of batch 1"), (2, "two"), (1, "1 of batch 1")]
        assert batches.keys == [[3, 1]]
        assert await cache.get(1, Source()) == "1 of batch 1"
        now = cache.statistics()
        assert (now.hits, now.misses, now.coalescing.flights) == (2, 3, 1)
        await cache.invalidate_tag("a")
        assert [cache.peek(key) for key in (1, 2, 3)] == [None, "two", None]
        assert_settled(cache)


async def test_if_nothing_is_missing_it_is_answered_without_a_turn_of_the_event_loop(
    batches: Batches,
) -> None:
    async with BatchLoader(batches) as loader, Cache(ttl=10) as cache:
        await cache.get_many(range(3), loader)
        call = cache.get_many(range(3), loader)
        with pytest.raises(StopIteration):
            call.send(None)
        assert await cache.get_many([], loader) == {}
        assert len(batches.keys) == 1


async def test_calls_at_once_share_what_they_load(batches: Batches) -> None:
    batches.shut()
    async with (
        BatchLoader(batches) as loader,
        Cache(ttl=10) as cache,
        anyio.create_task_group() as tasks,
    ):
        one = await start_many(tasks, cache, [1, 2], loader)
        two = await start_many(tasks, cache, [2, 3], loader)
        alone = await start_call(tasks, lambda: cache.get(3, loader.load, 3))
        batches.gate.set()
        await settle()
        assert batches.keys == [[1, 2], [3]]
        assert one.value[2] == two.value[2] == "2 of batch 1"
        assert alone.value == two.value[3] == "3 of batch 2"
        assert_settled(cache)


async def test_fresh_calls_load_again_and_join_nothing_that_has_begun(batches: Batches) -> None:
    async with (
        BatchLoader(batches) as loader,
        Cache(ttl=10) as cache,
        anyio.create_task_group() as tasks,
    ):
        await cache.get_many([1], loader)
        batches.shut()
        old = await start_many(tasks, cache, [1, 2], loader)
        new = await start_many(tasks, cache, [1, 2], loader, fresh=True)
        batches.gate.set()
        await settle()
        assert old.value == {1: "1 of batch 1", 2: "2 of batch 2"}
        assert new.value == {1: "1 of batch 3", 2: "2 of batch 4"}
        assert cache.peek(1) == new.value[1]
        assert cache.peek(2) == new.value[2]
        assert_settled(cache)


async def test_a_caller_that_is_cancelled_harms_no_other(batches: Batches) -> None:
    batches.shut()
    async with (
        BatchLoader(batches) as loader,
        Cache(ttl=10) as cache,
        anyio.create_task_group() as tasks,
    ):
        one = await start_many(tasks, cache, [1, 2], loader)
        two = await start_many(tasks, cache, [2], loader)
        one.cancel()
        await settle()
        batches.gate.set()
        await settle()
        assert two.value == {2: "2 of batch 1"}
        assert cache.peek(1) is None
        assert_settled(cache)


class TestMissing:
    async def test_keys_without_a_value_are_left_out(self, batches: Batches) -> None:
        batches.missing = {2}
        async with BatchLoader(batches) as loader, Cache(ttl=10) as cache:
            for number in (1, 2):
                assert list(await cache.get_many([1, 2], loader)) == [1]
                assert len(batches.keys) == number
            assert_settled(cache)

    async def test_with_error_ttl_it_is_kept_that_there_is_none(
        self, clock: HandClock, batches: Batches
    ) -> None:
        batches.missing = {2}
        cache = Cache(ttl=10, error_ttl={MissingKeyError: 5})
        async with BatchLoader(batches) as loader, cache:
            for _ in range(3):
                assert list(await cache.get_many([1, 2], loader)) == [1]
            assert len(batches.keys) == 1
            with pytest.raises(MissingKeyError, match="no value for key 2"):
                await cache.get(2, loader.load, 2)
            clock.advance(5)
            await cache.get_many([1, 2], loader)
            assert batches.keys == [[1, 2], [2]]
            assert cache.statistics().kept_errors == 3

    async def test_a_value_that_is_found_to_be_there_no_more_is_forgotten(
        self, clock: HandClock, batches: Batches
    ) -> None:
        cache = Cache(ttl=10, stale_if_error=100, stale_while_revalidate=5)
        async with BatchLoader(batches) as loader, cache:
            await cache.get_many([1, 2], loader)
            batches.missing = {1, 2}
            clock.advance(16)
            assert await cache.get_many([1], loader) == {}
            with pytest.raises(MissingKeyError):
                await cache.get(2, loader.load, 2)
            assert cache.statistics().entries == 0
            batches.missing = set()
            await cache.get_many([1], loader)
            batches.missing = {1}
            clock.advance(12)
            assert list(await cache.get_many([1], loader)) == [1]
            await settle()
            assert cache.statistics().refresh_failures == 1
            assert await cache.get_many([1], loader) == {}
            assert_settled(cache)


class TestErrors:
    async def test_the_first_error_in_the_order_of_the_keys_is_raised(
        self, batches: Batches
    ) -> None:
        batches.bad = {3: KeyError("three"), 2: ValueError("two")}
        async with BatchLoader(batches) as loader, Cache(ttl=10, error_ttl={KeyError: 5}) as cache:
            with pytest.raises(ValueError, match="two"):
                await cache.get_many([1, 2, 3], loader)
            assert cache.peek(1) == "1 of batch 1", "which is kept all the same"
            with pytest.raises(KeyError, match="three"):  # and so is this
                await cache.get(3, loader.load, 3)
            with pytest.raises(KeyError, match="three"):
                await cache.get_many([1, 3], loader)
            assert await cache.get_many([1], loader) == {1: "1 of batch 1"}
            assert len(batches.keys) == 1
            assert_settled(cache)

    async def test_one_limiter_may_bound_the_loader_and_the_cache(self, batches: Batches) -> None:
        """A call that waits for the loader holds no token that a batch would need."""
        limiter = anyio.CapacityLimiter(1)
        loader = BatchLoader(batches, limiter=limiter)
        found: list[dict[Any, Any]] = []

        async def call(*keys: int) -> None:
            found.append(await cache.get_many(keys, loader))

        async with loader, Cache(ttl=10, limiter=limiter) as cache:
            async with anyio.create_task_group() as tasks:
                for key in range(0, 12, 2):
                    tasks.start_soon(call, key, key + 1)
        assert sorted(key for each in found for key in each) == [*range(12)]

    async def test_values_stand_in_for_an_error_if_there_is_one_for_each_key(
        self, clock: HandClock, batches: Batches
    ) -> None:
        async with BatchLoader(batches) as loader, Cache(ttl=10, stale_if_error=20) as cache:
            before = await cache.get_many([1, 2], loader)
            clock.advance(10)
            batches.fail = OSError("down")
            assert await cache.get_many([1, 2], loader) == before
            with pytest.raises(OSError, match="down"):
                await cache.get_many([1, 2, 3], loader)
            with pytest.raises(OSError, match="down"):
                await cache.get_many([1, 2], loader, fresh=True)
            assert cache.statistics().stale_if_error == 2
            assert_settled(cache)

    async def test_a_deadlock_is_reported(self, clock: HandClock) -> None:
        async def load(keys: list[Any]) -> dict[Any, Any]:
            return await cache.get_many(keys, loader, fresh=True)

        loader = BatchLoader(load)
        async with loader, Cache(ttl=10) as cache:
            with pytest.raises(DeadlockError):
                await cache.get_many([1], loader)


class TestStale:
    async def test_old_values_are_served_and_loaded_in_the_background_together(
        self, clock: HandClock, batches: Batches
    ) -> None:
        cache = Cache(ttl=10, stale_while_revalidate=5)
        async with BatchLoader(batches) as loader, cache:
            before = await cache.get_many([1, 2], loader)
            clock.advance(10)
            assert await cache.get_many([1, 2], loader) == before
            await settle()
            assert [sorted(keys) for keys in batches.keys] == [[1, 2], [1, 2]]
            assert cache.peek(1) == "1 of batch 2"
            assert cache.statistics().refreshes == 2
            assert_settled(cache)


class TestInvalidating:
    @pytest.mark.parametrize("way", ["invalidate", "invalidate_tag", "clear", "set"])
    async def test_what_is_being_loaded_is_kept_out_and_not_joined_any_more(
        self, batches: Batches, way: str
    ) -> None:
        batches.shut()
        async with (
            BatchLoader(batches) as loader,
            Cache(ttl=10) as cache,
            anyio.create_task_group() as tasks,
        ):
            before = await start_many(tasks, cache, [1, 2], loader, tags=["a"])
            await change(cache, way)
            after = await start_many(tasks, cache, [1, 2], loader)
            batches.gate.set()
            await settle()
            assert before.value == {1: "1 of batch 1", 2: "2 of batch 1"}
            assert after.value[1] == ("set" if way == "set" else "1 of batch 2")
            assert cache.peek(1) == after.value[1]
            assert_settled(cache)

    @pytest.mark.parametrize("way", ["invalidate", "invalidate_tag", "clear"])
    async def test_nor_is_what_goes_on_though_all_have_left(
        self, batches: Batches, way: str
    ) -> None:
        batches.shut()
        async with (
            BatchLoader(batches) as loader,
            Cache(ttl=10) as cache,
            anyio.create_task_group() as tasks,
        ):
            gone = await start_many(tasks, cache, [1], loader, tags=["a"])
            other = await start_many(tasks, cache, [1, 2], loader, tags=["b"])
            gone.cancel()
            other.cancel()
            tasks.start_soon(loader.load, 1)
            await settle()
            await change(cache, way)
            after = await start_many(tasks, cache, [1], loader)
            batches.gate.set()
            await settle()
            assert after.value[1] != "1 of batch 1"
            assert cache.peek(1) == after.value[1]

    async def test_the_next_opening_knows_no_loaders(self, batches: Batches) -> None:
        async with BatchLoader(batches) as loader:
            cache = Cache(ttl=10)
            async with cache:
                await cache.get_many([1], loader)
                assert len(cache._loaders) == 1
            assert len(cache._loaders) == 0

    async def test_what_a_loader_began_before_it_was_known_is_not_joined_either(
        self, batches: Batches
    ) -> None:
        async with (
            BatchLoader(batches) as loader,
            Cache(ttl=10) as cache,
            anyio.create_task_group() as tasks,
        ):
            batches.shut()
            before = await start_call(tasks, lambda: loader.load(1))
            await cache.invalidate(1)
            after = await start_many(tasks, cache, [1], loader)
            batches.gate.set()
            await settle()
            assert before.value == "1 of batch 1"
            assert after.value == {1: "1 of batch 2"}
            assert cache.peek(1) == "1 of batch 2"
            assert_settled(cache)

    async def test_a_loader_that_is_open_elsewhere_by_now_does_not_get_in_the_way(
        self, batches: Batches
    ) -> None:
        loader, opened, done = BatchLoader(batches), threading.Event(), threading.Event()

        async def elsewhere() -> None:
            async with loader:
                opened.set()
                await anyio.to_thread.run_sync(done.wait)

        thread = threading.Thread(target=anyio.run, args=(elsewhere,))
        async with Cache(ttl=10) as cache, Cache(ttl=10) as other:
            async with loader:
                await cache.get_many([1], loader)
            thread.start()
            opened.wait()
            try:
                for each in (cache, other):
                    with pytest.raises(RuntimeError, match="another event loop"):
                        await each.get_many([2], loader)
                    await each.set(1, "set")
                    assert each.peek(1) == "set"
                    await each.invalidate(1)
                    await each.invalidate_tag("a")
                    await each.clear()
            finally:
                done.set()
                thread.join()

    @pytest.mark.parametrize("first", ["fresh", "batch"])
    async def test_nothing_from_before_a_fresh_call_is_kept_after_it(
        self, batches: Batches, first: str
    ) -> None:
        work = Work()
        async with (
            BatchLoader(batches) as loader,
            Cache(ttl=10) as cache,
            anyio.create_task_group() as tasks,
        ):
            batches.shut()
            await start_many(tasks, cache, [1], loader)
            fresh = await start_get(tasks, cache, 1, work, "fresh", fresh=True)
            after = await start_many(tasks, cache, [1], loader)
            for go in (work.go, batches.gate) if first == "fresh" else (batches.gate, work.go):
                go.set()
                await settle()
            assert fresh.value == "fresh"
            assert after.value == {1: "1 of batch 2"}
            assert cache.peek(1) == "1 of batch 2"  # which began last
            assert_settled(cache)


class TestStore:
    async def test_the_store_is_asked_first_and_filled_after(
        self, clock: HandClock, batches: Batches
    ) -> None:
        store = GatedStore(clock.current_time)
        async with BatchLoader(batches) as loader:
            async with Cache(ttl=10, store=store) as cache:
                await cache.get_many([1, 2], loader)
            async with Cache(ttl=10, store=store) as cache:
                got = await cache.get_many([1, 2, 3], loader)
                assert got == {1: "1 of batch 1", 2: "2 of batch 1", 3: "3 of batch 2"}
                assert cache.statistics().store_hits == 2
                await cache.get_many([1, 2], loader, fresh=True)
                assert store.kept[1][0].value == "1 of batch 3"
                assert_settled(cache)
            async with Cache(ttl=10, store=store) as cache:
                await cache.get_many([1, 2, 3], loader)
                assert len(batches.keys) == 3

    async def test_what_was_invalidated_while_it_was_stored_is_deleted_again(
        self, clock: HandClock, batches: Batches
    ) -> None:
        store = GatedStore(clock.current_time)
        store.gates["set"] = anyio.Event()
        cache = Cache(ttl=10, store=store)
        async with BatchLoader(batches) as loader, cache, anyio.create_task_group() as tasks:
            caller = await start_many(tasks, cache, [1, 2], loader)
            await cache.invalidate(1)
            store.gates["set"].set()
            await settle()
            assert set(caller.value) == {1, 2}
            assert set(store.kept) == {2}
            assert_settled(cache)


class TestBadUse:
    async def test_what_is_no_loader_and_keys_and_tags_that_are_none(
        self, batches: Batches
    ) -> None:
        async with BatchLoader(batches) as loader, Cache(ttl=10) as cache:
            with pytest.raises(TypeError, match=r"loader must be of type anyflight\.BatchLoader"):
                await cache.get_many([1], batches)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="the key must be hashable"):
                await cache.get_many([1, []], loader)
            with pytest.raises(TypeError, match="write tags="):
                await cache.get_many([1], loader, tags="a")
            assert batches.keys == []

    async def test_a_type_error_in_the_comparison_of_keys_is_left_as_it_is(
        self, batches: Batches
    ) -> None:
        class Odd:
            def __hash__(self) -> int:
                return 1

            def __eq__(self, other: object) -> bool:
                raise TypeError("cannot compare")

        async with BatchLoader(batches) as loader, Cache(ttl=10) as cache:
            with pytest.raises(TypeError, match="cannot compare"):
                await cache.get_many([Odd(), Odd()], loader)

    async def test_a_cache_or_a_loader_that_is_not_open(self, batches: Batches) -> None:
        loader, cache = BatchLoader(batches), Cache(ttl=10)
        with pytest.raises(RuntimeError, match=r"ReadThroughCache 'cache'.* is not open"):
            await cache.get_many([1], loader)
        async with cache:
            with pytest.raises(RuntimeError, match=r"BatchLoader 'loader'.* is not open"):
                await cache.get_many([1], loader)


async def test_a_flight_that_was_overtaken_is_not_joined_after_its_tag_was_invalidated(
    batches: Batches,
) -> None:
    old, source = Work(), Source()
    async with (
        BatchLoader(batches) as loader,
        Cache(ttl=10, max_entries=1) as cache,
        anyio.create_task_group() as tasks,
    ):
        before = await start_get(tasks, cache, 1, old, "old", tags=["a"])
        await cache.get_many([1], loader, tags=["a"])  # began later, and is there first
        await fill(cache, 2, "drives it out")
        await cache.invalidate_tag("a")
        after = await start_get(tasks, cache, 1, source, tags=["a"])
        assert after.value == 1
        old.go.set()
        await settle()
        assert before.value == "old"
        assert_settled(cache)


async def test_what_was_loading_before_another_began_does_not_take_its_place(
    batches: Batches, clock: HandClock
) -> None:
    batches.shut()
    work = Work()
    async with (
        BatchLoader(batches) as loader,
        Cache(ttl=10) as cache,
        anyio.create_task_group() as tasks,
    ):
        first = await start_many(tasks, cache, [1], loader)
        clock.advance(1)
        later = await start_get(tasks, cache, 1, work, "later")
        clock.advance(1)
        second = await start_many(tasks, cache, [1], loader)  # joins what the first one began
        work.go.set()
        await settle()
        batches.gate.set()
        await settle()
        assert first.value == second.value == {1: "1 of batch 1"}
        assert later.value == cache.peek(1) == "later"
        assert_settled(cache)


@pytest.mark.parametrize("joins", [True, False])
async def test_a_closed_cache_keeps_nothing_of_calls_that_go_on(
    batches: Batches, joins: bool
) -> None:
    store = GatedStore(float)
    store.gates["get"] = anyio.Event()
    async with BatchLoader(batches) as loader, anyio.create_task_group() as tasks:
        async with Cache(ttl=10, store=store) as cache:
            caller = await start_many(tasks, cache, [1], loader)  # waits for the store
        if joins:
            batches.shut()
            await start_call(tasks, lambda: loader.load(1))
        store.gates["get"].set()
        await settle()
        batches.gate.set()
        await settle()
        assert caller.value == {1: "1 of batch 1"}
        assert len(cache._memory) == 0
        assert store.kept == {}
        assert_settled(cache)


async def test_what_was_joined_is_kept_till_what_began_later_is_there(
    batches: Batches, clock: HandClock
) -> None:
    work = Work()
    async with (
        BatchLoader(batches) as loader,
        Cache(ttl=10) as cache,
        anyio.create_task_group() as tasks,
    ):
        await cache.get_many([2], loader)  # from now on what others load is joined
        batches.shut()
        loading = await start_call(tasks, lambda: loader.load(1))
        clock.advance(1)
        later = await start_get(tasks, cache, 1, work, "later")
        clock.advance(1)
        second = await start_many(tasks, cache, [1], loader)
        batches.gate.set()
        await settle()
        assert loading.value == second.value[1] == cache.peek(1) == "1 of batch 2"
        work.go.set()
        await settle()
        assert later.value == cache.peek(1) == "later"
        assert_settled(cache)


async def change(cache: Cache, way: str) -> None:
    match way:
        case "invalidate":
            await cache.invalidate(1)
        case "invalidate_tag":
            await cache.invalidate_tag("a")
        case "clear":
            await cache.clear()
        case _:
            await cache.set(1, "set")


async def test_what_others_have_loaded_while_the_store_was_asked_is_not_loaded_again(
    clock: HandClock, batches: Batches
) -> None:
    store = GatedStore(clock.current_time)
    store.gates["get"] = anyio.Event()
    loader = BatchLoader(batches)
    async with loader, Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
        first = await start_many(tasks, cache, [1, 2], loader)
        await cache.set(1, "set meanwhile")
        store.gates["get"].set()
        await settle()
        assert first.value == {1: "set meanwhile", 2: "2 of batch 1"}
        assert batches.keys == [[2]]
        assert_settled(cache)
