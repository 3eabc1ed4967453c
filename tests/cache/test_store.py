"""The store: asked by flights alone, never a reason for a call to fail, and never a way around an
invalidation."""

from __future__ import annotations

import logging
import math
from typing import Any, cast

import anyio
import pytest

from anyflight import BatchLoader, ReadThroughCache, StoredValue
from tests.cache.getting import GatedStore, Source, assert_settled, fill, start_call, start_get
from tests.support import CANCELLED, HandClock, Work, settle

pytestmark = pytest.mark.anyio

Cache = ReadThroughCache[Any, Any]


@pytest.fixture
def store(clock: HandClock) -> GatedStore:
    return GatedStore(clock.current_time)


def stored(value: Any, age: float = 0.0, **fields: Any) -> tuple[StoredValue[Any], float]:
    """Return what a store has kept since the time zero."""
    return StoredValue(value=value, ttl=10.0, age=age, **fields), 0.0


class TestReading:
    async def test_a_flight_asks_the_store_then_the_work_and_fills_both(
        self, clock: HandClock, store: GatedStore
    ) -> None:
        async def work() -> str:
            clock.advance(2)
            return "value"

        cache = Cache(ttl=10, store=store, stale_while_revalidate=3, stale_if_error=7)
        async with cache:
            for _ in range(3):
                assert await cache.get(1, work, tags=["a"]) == "value"
            assert store.calls == [("get", 1), ("set", 1)]
            found = StoredValue(value="value", ttl=10, cost=2, tags=frozenset("a"))
            assert store.kept == {1: (found, 2)}
            assert store.keeps == {1: 17}
            assert_settled(cache)

    async def test_what_is_stored_is_served_and_its_age_counts(
        self, clock: HandClock, store: GatedStore
    ) -> None:
        source = Source()
        store.kept[1] = stored("stored", age=4, tags=frozenset("a"))
        async with Cache(ttl=10, store=store) as cache:
            for moment in (0, 0, math.nextafter(6, 0)):
                clock.now = moment
                assert await cache.get(1, source) == "stored"
            assert cache.statistics().store_hits == 1
            assert source.calls == 0
            clock.now = 6
            assert await cache.get(1, source) == 1
            store.kept[2] = stored("two", tags=frozenset("b"))
            assert await cache.get(2, source) == "two"
            await cache.invalidate_tag("b")  # the tags come from the store too
            assert cache.peek(2) is None
            assert_settled(cache)

    async def test_a_thousand_calls_ask_the_store_once(self, store: GatedStore) -> None:
        store.gates["get"] = anyio.Event()
        work = Work()
        async with Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
            got: list[Any] = []

            async def call() -> None:
                got.append(await cache.get(1, work, "value"))

            for _ in range(1000):
                tasks.start_soon(call)
            await settle()
            store.gates["get"].set()
            work.go.set()
            await settle()
            assert got == ["value"] * 1000
            assert store.calls == [("get", 1), ("set", 1)]

    async def test_an_old_value_of_the_store_is_served_and_the_next_call_revalidates(
        self, clock: HandClock, store: GatedStore
    ) -> None:
        source = Source()
        store.kept[1] = stored("old", age=12)
        async with Cache(ttl=10, store=store, stale_while_revalidate=5) as cache:
            assert await cache.get(1, source) == "old"
            assert await cache.get(1, source) == "old"
            await settle()
            assert await cache.get(1, source) == 1
            assert store.calls == [("get", 1), ("get", 1), ("set", 1)]
            assert cache.statistics().refreshes == 1

    async def test_a_refresh_takes_what_another_process_has_stored_meanwhile(
        self, clock: HandClock, store: GatedStore
    ) -> None:
        source = Source()
        async with Cache(ttl=10, store=store, stale_while_revalidate=5) as cache:
            await cache.get(1, source)
            clock.now = 11
            store.kept[1] = stored("newer", age=-10)
            assert await cache.get(1, source) == 1
            await settle()
            assert await cache.get(1, source) == "newer"
            assert source.calls == 1
            assert cache.statistics().refresh_failures == 0

    async def test_an_early_refresh_does_not_take_the_value_that_it_is_to_replace(
        self, clock: HandClock, store: GatedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = Source()
        store.kept[1] = stored("present", cost=1.0)
        async with Cache(ttl=10, store=store, refresh_ahead=1) as cache:
            monkeypatch.setattr(type(cache._first), "draw", lambda self: math.exp(-1))
            assert await cache.get(1, source) == "present"
            clock.now = 9.5
            assert await cache.get(1, source) == "present"
            await settle()
            assert source.calls == 1
            assert await cache.get(1, source) == 1

    async def test_an_early_refresh_takes_a_newer_value(
        self, clock: HandClock, store: GatedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = Source()
        store.kept[1] = stored("present", cost=1.0)
        async with Cache(ttl=10, store=store, refresh_ahead=1) as cache:
            monkeypatch.setattr(type(cache._first), "draw", lambda self: math.exp(-1))
            assert await cache.get(1, source) == "present"
            store.kept[1] = stored("newer", age=-5, cost=1.0)
            clock.now = 9.5
            assert await cache.get(1, source) == "present"
            await settle()
            assert await cache.get(1, source) == "newer"
            assert source.calls == 0

    async def test_a_value_that_is_too_old_stands_in_for_an_error(
        self, clock: HandClock, store: GatedStore
    ) -> None:
        source = Source()
        source.fail = OSError("down")
        store.kept[1] = stored("old", age=12)
        async with Cache(ttl=10, store=store, stale_if_error=5) as cache:
            assert await cache.get(1, source) == "old"
            clock.now = 3
            with pytest.raises(OSError, match="down"):
                await cache.get(1, source)
            assert cache.statistics().store_hits == 0
            assert_settled(cache)

    async def test_errors_are_not_stored(self, store: GatedStore) -> None:
        source = Source()
        source.fail = OSError("down")
        async with Cache(ttl=10, store=store, error_ttl={OSError: 5}) as cache:
            for _ in range(2):
                with pytest.raises(OSError, match="down"):
                    await cache.get(1, source)
            assert store.calls == [("get", 1)]

    async def test_a_later_value_in_memory_is_not_replaced_by_an_older_one_of_the_store(
        self, clock: HandClock, store: GatedStore
    ) -> None:
        source = Source()
        async with Cache(ttl=10, store=store, stale_if_error=50) as cache:
            await cache.get(1, source)
            store.kept[1] = stored("older", age=5)
            source.fail = OSError("down")
            clock.now = 12
            assert await cache.get(1, source) == 1

    @pytest.mark.parametrize("first", ["read", "load"])
    async def test_nor_does_what_is_read_there_overtake_what_is_being_loaded(
        self, store: GatedStore, first: str
    ) -> None:
        work = Work()
        store.kept[1] = stored("old")

        async def load(keys: list[int]) -> dict[int, Any]:
            return {key: await work("new") for key in keys}

        async with (
            BatchLoader(load) as loader,
            Cache(ttl=5, store=store) as cache,
            anyio.create_task_group() as tasks,
        ):
            loading = await start_call(tasks, lambda: cache.get_many([1], loader, fresh=True))
            store.gates["get"] = anyio.Event()
            reading = await start_get(tasks, cache, 1, Source())
            for go in (
                (store.gates.pop("get"), work.go)
                if first == "read"
                else (work.go, store.gates.pop("get"))
            ):
                go.set()
                await settle()
            assert loading.value == {1: "new"}
            assert reading.value == "old"
            assert cache.peek(1) == "new"
            assert store.kept[1][0].value == "new"
            assert_settled(cache)


class TestFresh:
    async def test_a_fresh_call_does_not_ask_the_store(self, store: GatedStore) -> None:
        source = Source()
        store.kept[1] = stored("stored")
        async with Cache(ttl=10, store=store) as cache:
            assert await cache.get(1, source, fresh=True) == 1
            assert store.calls == [("set", 1)]
            assert await cache.get(2, source) == 2
            assert store.calls[1:] == [("get", 2), ("set", 2)]
            assert_settled(cache)

    async def test_a_flight_that_a_fresh_call_has_joined_does_not_either(
        self, store: GatedStore
    ) -> None:
        source = Source()
        store.kept[1] = stored("stored")
        limiter = anyio.CapacityLimiter(1)
        cache = Cache(ttl=10, store=store, limiter=limiter)
        async with cache, anyio.create_task_group() as tasks:
            await limiter.acquire_on_behalf_of("somebody")
            plain = await start_get(tasks, cache, 1, source)
            fresh = await start_get(tasks, cache, 1, source, fresh=True)
            gone = await start_get(tasks, cache, 2, source, fresh=True)
            other = await start_get(tasks, cache, 2, source)
            gone.cancel()
            store.kept[2] = stored("two")
            await settle()
            limiter.release_on_behalf_of("somebody")
            await settle()
            assert plain.value == fresh.value == 1
            assert other.value == "two"
            assert_settled(cache)


class TestFailing:
    async def test_a_store_that_raises_costs_no_call_its_value(
        self, store: GatedStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "anyflight")
        store.fail = {"get": OSError("lost"), "set": OSError("full")}
        source = Source()
        async with Cache(ttl=10, store=store, name="users") as cache:
            assert await cache.get(1, source) == 1
            assert await cache.get(2, source) == 2
            assert await cache.get(1, source) == 1
            assert cache.statistics().store_errors == 4
            assert_settled(cache)
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        message = record.getMessage()
        assert message.startswith("ReadThroughCache 'users': the store failed in get of 1")

    @pytest.mark.parametrize(
        "returned",
        [
            ("value", 10),
            False,
            StoredValue[Any](value=1, ttl=math.nan),
            StoredValue[Any](value=1, ttl=10, cost=-1),
            StoredValue[Any](value=1, ttl=math.inf, age=math.inf),
            StoredValue[Any](value=1, ttl=10, age=cast("Any", None)),
            StoredValue[Any](value=1, ttl=10, tags=cast("Any", None)),
            StoredValue[Any](value=1, ttl=10, tags=cast("Any", [1])),
        ],
    )
    async def test_nor_does_one_that_returns_what_is_of_no_use(
        self, store: GatedStore, monkeypatch: pytest.MonkeyPatch, returned: Any
    ) -> None:
        async def get(_key: int) -> Any:
            return returned

        monkeypatch.setattr(store, "get", get)
        async with Cache(ttl=10, store=store, refresh_ahead=1) as cache:
            assert await cache.get(1, Source()) == 1
            await cache.invalidate(1)
            assert cache.statistics().store_errors == 1
            assert_settled(cache)

    async def test_what_another_clock_says_and_tags_in_a_list_are_set_right(
        self, clock: HandClock, store: GatedStore
    ) -> None:
        source = Source()
        store.kept[1] = stored("ahead", age=-5, tags=cast("Any", ["a", "a"]))
        async with Cache(ttl=10, store=store) as cache:
            assert await cache.get(1, source) == "ahead"
            clock.now = 10
            assert cache.peek(1) is None
            await cache.invalidate_tag("a")
            assert cache.statistics().entries == 0
            assert_settled(cache)

    async def test_an_invalidation_that_the_store_refuses_is_raised_and_memory_is_clean(
        self, store: GatedStore
    ) -> None:
        methods = ("delete", "delete_tag", "clear")
        store.fail = {method: OSError(method) for method in methods}
        async with Cache(ttl=10, store=store) as cache:
            for method in methods:
                await cache.set(1, "value", tags=["a"])
                with pytest.raises(OSError, match=f"^{method}$"):
                    match method:
                        case "delete":
                            await cache.invalidate(1)
                        case "delete_tag":
                            await cache.invalidate_tag("a")
                        case _:
                            await cache.clear()
                assert cache.peek(1) is None
                assert_settled(cache)

    async def test_a_value_that_the_store_refuses_is_raised_and_is_in_memory(
        self, store: GatedStore
    ) -> None:
        store.fail["set"] = OSError("full")
        async with Cache(ttl=10, store=store) as cache:
            with pytest.raises(OSError, match="full"):
                await cache.set(1, "value")
            assert cache.peek(1) == "value"
            assert_settled(cache)

    async def test_the_function_is_not_called_if_everybody_has_left_when_it_answers(self) -> None:
        class Shielded(GatedStore):
            async def get(self, key: Any) -> Any:
                with anyio.CancelScope(shield=True):
                    await answer.wait()

        answer = anyio.Event()
        source = Source()
        store = Shielded(float)
        async with Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
            caller = await start_get(tasks, cache, 1, source)
            caller.cancel()
            await settle()
            answer.set()
            await settle()
            assert caller.outcome is CANCELLED
            assert source.calls == 0
            assert_settled(cache)


class TestInvalidating:
    async def test_the_store_forgets_too(self, store: GatedStore) -> None:
        async with Cache(ttl=10, store=store) as cache:
            for key in (1, 2, 3):
                await fill(cache, key, key, tags=["a"] if key == 2 else ())
            await cache.invalidate(1)
            assert set(store.kept) == {2, 3}
            await cache.invalidate_tag("a")
            assert set(store.kept) == {3}
            await cache.clear()
            assert store.kept == {}

    @pytest.mark.parametrize("way", ["invalidate", "invalidate_tag", "clear", "set"])
    async def test_what_a_flight_was_reading_is_kept_out(self, store: GatedStore, way: str) -> None:
        store.kept[1] = stored("old", tags=frozenset("a"))
        store.gates["get"] = anyio.Event()
        source = Source()
        async with Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
            before = await start_get(tasks, cache, 1, source)
            await change(cache, way)
            store.gates.pop("get").set()
            await settle()
            assert before.value == "old"  # it was asked for before
            assert await cache.get(1, source) == ("set" if way == "set" else 1)
            assert cache.statistics().kept_out == 1
            assert_settled(cache)

    @pytest.mark.parametrize("way", ["invalidate", "invalidate_tag", "clear", "set"])
    async def test_while_the_store_is_being_told_nobody_reads_what_it_has(
        self, store: GatedStore, way: str
    ) -> None:
        method = {"invalidate": "delete", "invalidate_tag": "delete_tag"}.get(way, way)
        source = Source()
        async with Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
            store.kept[1] = stored("old", tags=frozenset("a"))
            store.gates[method] = gate = anyio.Event()
            changing = await start_call(tasks, lambda: change(cache, way))
            cache._memory.delete(1)  # what was set has been evicted, say
            if way == "set":
                del store.gates["set"]
            assert await cache.get(1, source) == 1
            gate.set()
            await settle()
            assert changing.outcome is None
            assert await cache.get(1, source) == 1
            assert ("get", 1) not in store.calls
            assert_settled(cache)

    async def test_what_was_loading_during_an_invalidation_is_not_stored(
        self, store: GatedStore
    ) -> None:
        work = Work()
        async with Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
            before = await start_get(tasks, cache, 1, work, "old")
            await cache.invalidate(1)
            work.go.set()
            await settle()
            assert before.value == "old"
            assert store.calls == [("get", 1), ("delete", 1)]
            assert_settled(cache)

    @pytest.mark.parametrize("write_first", [True, False])
    @pytest.mark.parametrize("way", ["invalidate", "invalidate_tag", "clear"])
    async def test_what_was_stored_during_an_invalidation_is_deleted_again(
        self, store: GatedStore, way: str, write_first: bool
    ) -> None:
        store.write_first = write_first
        store.gates["set"] = anyio.Event()
        source = Source()
        async with Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
            before = await start_get(tasks, cache, 1, source, tags=["a"])
            setting = await start_call(tasks, lambda: cache.set(2, "two", tags=["a"]))
            assert cache.peek(1) == 1  # memory has it before the store
            await change(cache, way)
            if way == "invalidate":
                await cache.invalidate(2)
            store.gates["set"].set()
            await settle()
            assert before.value == 1
            assert setting.outcome is None
            assert store.kept == {}
            assert cache.peek(1) is cache.peek(2) is None
            assert_settled(cache)

    @pytest.mark.parametrize("writer", ["flight", "set"])
    async def test_until_then_nobody_reads_it(self, store: GatedStore, writer: str) -> None:
        store.gates = {"set": anyio.Event()}
        async with Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
            if writer == "flight":
                await start_get(tasks, cache, 1, Source())
            else:
                await start_call(tasks, lambda: cache.set(1, 1))
            await cache.invalidate(1)
            store.gates["delete"] = anyio.Event()
            store.gates.pop("set").set()  # it arrives after the first deletion
            await settle()
            late, found = store.kept[1][0].value, await cache.get(1, returned, "new")
            store.gates.pop("delete").set()
            await settle()
            assert (late, found, cache.peek(1)) == (1, "new", "new")
            assert_settled(cache)

    async def test_so_it_is_if_everybody_left_meanwhile(
        self, clock: HandClock, store: GatedStore
    ) -> None:
        store.write_first = True
        store.gates["set"] = anyio.Event()
        async with Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
            caller = await start_get(tasks, cache, 1, Source())
            setting = await start_call(tasks, lambda: cache.set(2, "two"))
            await cache.clear()
            store.kept = {1: stored("old"), 2: stored("old")}
            caller.cancel()
            setting.cancel()
            await settle()
            assert store.kept == {}
            assert_settled(cache)

    async def test_a_store_that_hangs_does_not_hold_up_the_end_for_long(
        self, clock: HandClock, store: GatedStore
    ) -> None:
        store.gates = {"set": anyio.Event(), "delete": anyio.Event()}
        async with Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
            caller = await start_get(tasks, cache, 1, Source())
            cache._first.clear()
            caller.cancel()
            await settle()
            assert cache.statistics().coalescing.in_flight == 1
            clock.advance(5)
            await settle()
            assert cache.statistics().coalescing.in_flight == 0

    async def test_a_store_that_refuses_to_delete_is_counted(self, store: GatedStore) -> None:
        store.gates["set"] = anyio.Event()
        store.fail["delete"] = OSError("lost")
        async with Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
            caller = await start_get(tasks, cache, 1, Source(), tags=["a"])
            await cache.invalidate_tag("a")
            store.gates["set"].set()
            await settle()
            assert caller.value == 1
            assert cache.statistics().store_errors == 1
            assert_settled(cache)

    async def test_two_caches_with_one_store_are_two_processes(self, store: GatedStore) -> None:
        source = Source()
        async with Cache(ttl=10, store=store) as one, Cache(ttl=10, store=store) as two:
            assert await one.get(1, source) == 1
            assert await two.get(1, source) == 1
            await one.invalidate(1)
            assert await one.get(1, source) == 2
            assert await two.get(1, source) == 1  # from its own memory


async def returned(value: Any) -> Any:
    return value


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


async def test_a_stored_value_is_fresh_no_longer_than_one_from_here(
    clock: HandClock, store: GatedStore
) -> None:
    store.kept[1] = StoredValue(value="stored", ttl=1000), 0
    async with Cache(ttl=10, store=store) as cache:
        assert await cache.get(1, returned, "new") == "stored"
        clock.now = math.nextafter(10, 0)
        assert cache.peek(1) == "stored"
        clock.now = 10
        assert cache.peek(1) is None


async def test_get_many_does_not_ask_for_all_keys_at_once(store: GatedStore) -> None:
    async def load_batch(keys: list[int]) -> dict[int, str]:
        return dict.fromkeys(keys, "loaded")

    store.gates["get"] = anyio.Event()
    loader = BatchLoader(load_batch)
    async with loader, Cache(ttl=10, store=store) as cache, anyio.create_task_group() as tasks:
        many = await start_call(tasks, lambda: cache.get_many(range(100), loader))
        assert len(store.calls) == 32
        store.gates["get"].set()
        await settle()
        assert len(many.value) == len(store.kept) == 100
        assert_settled(cache)
