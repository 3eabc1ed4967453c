"""The memory is bounded, what is of no use leaves it, and nothing stays behind."""

from __future__ import annotations

import gc
import math
import weakref
from itertools import chain
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyflight import ReadThroughCache
from anyflight.cache._departures import Departures
from anyflight.cache._freshness import Entry
from anyflight.cache._memory import SWEEP, Memory
from anyflight.cache._s3_fifo import S3Fifo
from benchmarks.eviction import policies as measured
from benchmarks.eviction.hit_ratios import hits_of
from benchmarks.eviction.traces import TRACES, Trace
from tests.cache.getting import Source, all_keys, assert_settled, assert_whole, fill
from tests.support import HandClock

NEVER = -math.inf


def entry(gone: float = math.inf, tags: str = "") -> Entry:
    return Entry(
        value="value",
        expires=gone,
        stale_until=NEVER,
        spare_until=gone,
        cost=0.0,
        early=0.0,
        tags=frozenset(tags),
    )


class TestMemory:
    @given(
        st.integers(1, 5),
        st.lists(
            st.one_of(
                st.tuples(st.just("put"), st.integers(0, 8), st.integers(1, 9), st.text("ab")),
                st.tuples(st.just("use"), st.integers(0, 8)),
                st.tuples(st.just("delete"), st.integers(0, 8)),
                st.tuples(st.just("advance"), st.sampled_from([0.5, 1, 5])),
                st.tuples(st.just("clear")),
            ),
            max_size=60,
        ),
    )
    def test_its_invariants_hold_whatever_comes(self, size: int, steps: list[Any]) -> None:
        memory, now = Memory(size, span=2.0), 0.0
        for step in steps:
            match step:
                case ("put", key, life, tags):
                    memory.put(key, entry(now + life if life < 9 else math.inf, tags), now)
                    assert key in memory.entries
                case ("use", key) if key in memory.entries:
                    memory.entries[key].used = True
                case ("delete", key):
                    memory.delete(key)
                case ("advance", seconds):
                    now += seconds
                case ("clear",):
                    memory.clear()
            self.check(memory, size)

    def check(self, memory: Memory, size: int) -> None:
        entries = memory.entries
        assert len(memory) <= size
        queued = [*memory._queues._small, *memory._queues._main]
        assert len(queued) == len(entries)
        assert set(queued) == set(entries)
        assert len(memory._queues._ghosts) <= size
        listed = {(tag, key) for tag, keys in memory._keys_of.items() for key in keys}
        assert listed == {(tag, key) for key, each in entries.items() for tag in each.tags}
        assert all(memory._keys_of.values())
        noted = all_keys(memory._departures._keys)
        assert sorted(noted) == sorted(key for key, each in entries.items() if each.gone < math.inf)

    def test_what_is_gone_leaves_while_others_come_and_no_call_pays_for_all(self) -> None:
        memory = Memory(1000, span=1.0)
        for key in range(100):
            memory.put(key, entry(5), 0)
        memory.put("a", entry(), 5.9)
        assert len(memory) == 101  # the span is not over
        for count, key in enumerate("bcdefgh", start=1):
            memory.put(key, entry(), 6)
            assert len(memory) == 1 + count + max(0, 100 - SWEEP * count)

    def test_an_entry_that_is_gone_already_is_not_kept_and_takes_the_old_one_along(self) -> None:
        for now in (2, 3):
            memory = Memory(10, span=1.0)
            memory.put(1, entry(5), 0)
            memory.put(1, entry(2), now)
            assert len(memory) == 0

    def test_a_finalizer_finds_the_memory_whole_and_may_use_it(self) -> None:
        memory = Memory(3, span=1.0)

        class Value:
            def __del__(self) -> None:
                try:
                    checker.check(memory, 3)
                    if len(memory) < 3:
                        memory.put("from a finalizer", entry(tags="c"), 0)
                        memory.delete("from a finalizer")
                except Exception as exc:
                    found.append(exc)
                else:
                    found.append("whole")

        checker, found = TestMemory(), list[Any]()
        for key in range(8):
            one = entry(5, tags="ab")
            one.value = Value()
            memory.put(key, one, 0)
            del one
        memory.put(7, entry(), 0)
        memory.delete(6)
        memory.clear()
        gc.collect()
        assert found == ["whole"] * 8
        checker.check(memory, 3)


class TestDepartures:
    def test_keys_are_due_when_their_span_is_over(self) -> None:
        departures = Departures(10.0)
        departures.add("never", math.inf)
        departures.add("a", 15)
        departures.add("b", 25)
        departures.discard("never", math.inf)
        assert departures.due(19.9, 5) == []
        assert departures.due(20, 5) == ["a"]
        departures.discard("a", 15)
        assert departures.due(20, 5) == []
        assert departures.due(1000, 5) == ["b"]
        departures.clear()
        assert departures.due(1000, 5) == []
        assert len(departures) == 0

    def test_each_is_due_once(self) -> None:
        departures = Departures(10.0)
        for key in range(40):
            departures.add(key, 5)
        taken = [departures.due(1000, 16) for _ in range(4)]
        assert [*map(len, taken)] == [16, 16, 8, 0]
        assert {*chain(*taken)} == {*range(40)}
        departures.discard(1, 5)
        assert departures._keys == {}


class TestEviction:
    def keys_left(self, size: int, *steps: str) -> set[str]:
        """Run steps: a key is asked for, and kept if it was not there."""
        memory = Memory(size, span=1.0)
        for key in steps:
            if key in memory.entries:
                memory.entries[key].used = True
            else:
                memory.put(key, entry(), 0)
        return set(memory.entries)

    def test_what_was_asked_for_again_survives_a_scan(self) -> None:
        hot = [f"hot {n}" for n in range(5)]
        scan = [f"scan {n}" for n in range(1000)]
        assert set(hot) <= self.keys_left(20, *hot, *hot, *scan)

    def test_what_is_not_asked_for_any_more_leaves_in_the_end(self) -> None:
        old = [f"old {n}" for n in range(10)]
        new = [f"new {n // 2}" for n in range(20)]  # each twice in a row
        assert self.keys_left(10, *old, *old, *(new * 3)) == set(new)

    def test_what_comes_back_soon_goes_to_the_main_queue(self) -> None:
        queues = S3Fifo(10)
        for key in range(3):
            queues.add(key, entry())
        assert queues.evict() == 0
        queues.add(0, entry())
        assert set(queues._main) == {0}
        assert set(queues._small) == {1, 2}
        queues.remove(0)
        queues.add(0, entry())  # it comes for the first time, as far as anybody remembers
        assert set(queues._small) == {0, 1, 2}

    def test_a_value_that_takes_the_place_of_one_that_was_used_counts_as_used(self) -> None:
        memory = Memory(2, span=1.0)
        memory.put("a", entry(), 0)
        memory.entries["a"].used = True
        memory.put("a", entry(), 0)
        for key in "bcd":
            memory.put(key, entry(), 0)
        assert set(memory.entries) == {"a", "d"}

    def test_at_the_end_of_the_main_queue_what_was_used_gets_another_round(self) -> None:
        queues = S3Fifo(4)
        entries = {key: entry() for key in "abcd"}
        for key, each in entries.items():
            each.used = True
            queues.add(key, each)
        queues.add("e", entry())
        assert queues.evict() == "e"  # the others have moved on
        entries["a"].used = entries["b"].used = True
        assert [queues.evict() for _ in range(4)] == ["c", "d", "a", "b"]

    @pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
    def test_it_hits_as_often_as_the_policy_that_was_measured(self, trace: Trace) -> None:
        """See docs/eviction.md. They differ in when they forget the hash of one that came back."""
        keys = trace.make(Random(5), 3000)
        memory, hits = Memory(50, span=1.0), 0
        for key in keys:
            if key in memory.entries:
                memory.entries[key].used = True
                hits += 1
            else:
                memory.put(key, entry(), 0)
        assert abs(hits - hits_of(measured.S3Fifo(50), keys)) < 0.01 * len(keys)

    def test_one_entry_is_enough(self) -> None:
        assert self.keys_left(1, *"abbc") == {"c"}


class TestCache:
    pytestmark = pytest.mark.anyio

    async def test_there_are_never_more_entries_than_there_may_be(self) -> None:
        async with ReadThroughCache[int, int](ttl=10, max_entries=100) as cache:
            for key in range(1000):
                await cache.set(key, key, tags=[f"tag {key % 7}", f"only {key}"])
                assert cache.statistics().entries == min(key + 1, 100)
            assert cache.statistics().evicted == 900
            assert len(cache._memory._keys_of) == 107
            assert_settled(cache)

    async def test_a_hot_key_stays_while_others_pass(self) -> None:
        source = Source()
        async with ReadThroughCache[Any, int](ttl=10, max_entries=10) as cache:
            for key in range(200):
                assert await cache.get("hot", source) == 1
                await cache.set(key, key)

    async def test_what_has_expired_leaves_though_nobody_asks_for_it(
        self, clock: HandClock
    ) -> None:
        cache = ReadThroughCache[Any, int](ttl=10, stale_if_error=6, error_ttl={OSError: 1})
        async with cache:
            for key in range(100):
                await cache.set(key, key, tags=["a", f"only {key}"])
            clock.now = 15
            await cache.set("one", 1)
            assert cache.statistics().entries == 101
            clock.now = 17
            for key in range(10):
                await cache.set(f"more {key}", key)
            assert cache.statistics().entries == 11
            assert cache._memory._keys_of == {}
            assert_whole(cache)

    async def test_ten_thousand_keys_leave_nothing_behind(self) -> None:
        async with ReadThroughCache[int, int](ttl=10) as cache:
            for key in range(10_000):
                await cache.set(key, key, tags=[str(key), "all"])
            for key in range(5_000):
                await cache.invalidate(key)
            await cache.invalidate_tag("all")
            assert cache.statistics().entries == 0
            assert_settled(cache)
            assert cache._memory._keys_of == {}
            assert cache._memory._departures._keys == {}

    async def test_a_value_that_was_forgotten_is_let_go_at_once(self) -> None:
        class Value:
            pass

        async with ReadThroughCache[int, Value](ttl=10, max_entries=1) as cache:
            references = []
            for key in range(3):
                value = Value()
                references.append(weakref.ref(value))
                await cache.set(key, value)
                del value
            assert [reference() is None for reference in references] == [True, True, False]
            await cache.invalidate(2)
            assert references[2]() is None

    async def test_jitter_spreads_the_moments_at_which_values_expire(
        self, clock: HandClock
    ) -> None:
        async with ReadThroughCache[int, int](ttl=10, ttl_jitter=0.5) as cache:
            for key in range(300):
                await fill(cache, key, key)
            expire = [each.expires for each in cache._memory.entries.values()]
            assert 5 <= min(expire) < 6
            assert 9 < max(expire) <= 10


@pytest.mark.anyio
async def test_keys_whose_hash_changes_do_not_keep_others_out() -> None:
    class Key:
        def __init__(self) -> None:
            self.number = id(self)

        def __hash__(self) -> int:
            return self.number

    keys = [Key() for _ in range(4)]
    async with ReadThroughCache[Any, int](ttl=10, max_entries=4) as cache:
        for key in keys:
            await fill(cache, key, 1)
        for key in keys:
            key.number += 1
        for number in range(10):
            await fill(cache, number, number)
            assert cache.peek(number) == number
            assert cache.statistics().entries <= 4
