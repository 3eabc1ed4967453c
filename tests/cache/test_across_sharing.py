"""`across`: what one process has loaded serves all, for as long as it would there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import anyio
import pytest

from anyflight.lease import MemoryStore, Outcome, OutcomeKind
from tests.cache.fleet import Member, fleet
from tests.cache.getting import Source, fill, start_get
from tests.support import CANCELLED, HandClock, Work, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]


class TestSharing:
    async def test_a_value_that_one_process_has_loaded_serves_all(self) -> None:
        source = Source()
        async with fleet(3) as (one, two, three):
            for member in (one, two, three, one, two, three):
                assert await member.get("k", source) == 1
            assert source.calls == 1
            assert one.cache.statistics().store_hits == 0
            for other in (two, three):
                assert other.cache.statistics().store_hits == other.cache.statistics().hits == 1
                assert other.store.requests == ["check", "listen", "read"]

    @pytest.mark.parametrize("value", [None, 0, "", [], {"a": [1.5, None, True]}, "\n\n"])
    async def test_so_does_any_value(self, value: Any) -> None:
        async with fleet(2) as (one, two):
            await fill(one.cache, "k", value)
            assert await two.get("k", Source()) == value

    @pytest.mark.parametrize("body", [b"", b"nonsense", b"[60, 1, []]\n{", b'["60", 1, []]\n"old"'])
    async def test_what_cannot_be_read_is_loaded_and_stored_anew(self, body: bytes) -> None:
        store = MemoryStore()
        await store.replace("k", "older", Outcome(0, OutcomeKind.STORED, body), keep=60)
        async with fleet(2, store) as (one, two):
            assert await one.get("k", Source()) == 1
            assert await two.get("k", Source()) == 1

    async def test_a_hundred_processes_that_miss_at_once_run_one_execution(self) -> None:
        work = Work()
        async with fleet(100) as members, anyio.create_task_group() as tasks:
            got: list[Any] = []

            async def call(member: Member) -> None:
                got.append(await member.get("k", work, "value"))

            for member in members * 3:
                tasks.start_soon(call, member)
            await settle()
            work.go.set()
            await settle()
            assert got == ["value"] * 300
            assert len(work.calls) == 1
            assert {member.peek() for member in members} == {"value"}
            assert sum(member.counts.won for member in members) == 1

    async def test_a_load_that_nobody_waits_for_is_told_to_nobody(self) -> None:
        async with fleet(2) as (one, two):
            two.store.held_back = []
            await one.get("k", Source())
            await one.cache.get("k", Source(), fresh=True)
            assert two.store.held_back == []

    async def test_if_the_one_that_runs_it_is_cancelled_one_other_does(self) -> None:
        works = [Work() for _ in range(3)]
        async with fleet(3) as members, anyio.create_task_group() as tasks:
            callers = [
                await start_get(tasks, member.cache, "k", work, number)
                for number, (member, work) in enumerate(zip(members, works, strict=True))
            ]
            assert [len(work.calls) for work in works] == [1, 0, 0]
            callers[0].cancel()
            await settle()
            assert callers[0].outcome is CANCELLED
            (second,) = (number for number in (1, 2) if works[number].calls)
            works[second].go.set()
            await settle()
            assert [caller.value for caller in callers[1:]] == [second] * 2
            assert [member.peek() for member in members] == [None, second, second]

    async def test_what_had_to_leave_memory_is_had_from_the_server_again(self) -> None:
        source = Source()
        async with fleet(1, max_entries=1) as (one,):
            for _ in range(2):
                assert await one.get("a", source) == 1
                assert await one.get("b", source) == 2
            assert source.calls == 2
            assert one.cache.statistics().store_hits == 2

    async def test_so_is_what_was_there_before_a_process_was_started(self) -> None:
        store, source = MemoryStore(), Source()
        for _ in range(2):
            async with fleet(1, store) as (one,):
                assert await one.get("k", source) == 1

    async def test_each_process_hands_out_copies_if_it_is_to(self) -> None:
        async with fleet(2, copy=list) as (one, two):
            value = [1]
            await fill(one.cache, "k", value)
            value.append(2)  # it was a copy that this caller got, but the work's own is kept
            first = await two.get("k", Source())
            first.append(3)
            assert await two.get("k", Source()) == [1]


class TestTimes:
    async def test_the_age_of_a_value_counts_wherever_it_is(self, across_clock: HandClock) -> None:
        source = Source()
        async with fleet(2) as (one, two):
            assert await one.get("k", source) == 1
            across_clock.advance(4)
            assert await two.get("k", source) == 1
            across_clock.now = math.nextafter(10, 0)
            assert one.peek() == two.peek() == 1
            across_clock.now = 10
            assert one.peek() is two.peek() is None
            assert await two.get("k", source) == await one.get("k", source) == 2

    async def test_what_is_known_of_a_value_comes_with_it(self, across_clock: HandClock) -> None:
        async def work() -> str:
            across_clock.advance(2)
            return "value"

        async with fleet(2) as (one, two):
            await one.cache.get("k", work, tags=["a", "b"])
            await two.get("k", Source())
            mine, theirs = (each.cache._memory.entries["k"] for each in (one, two))
            assert (theirs.cost, theirs.tags) == (mine.cost, mine.tags) == (2, {"a", "b"})
            assert theirs.expires == mine.expires == 12
            await two.cache.invalidate_tag("b")
            assert one.peek() is two.peek() is None

    async def test_a_jitter_is_drawn_once_for_all(self) -> None:
        async with fleet(5, ttl_jitter=0.5) as members:
            for member in members:
                await member.get("k", Source())
            (expires,) = {each.cache._memory.entries["k"].expires for each in members}
            assert 5 <= expires < 10

    async def test_a_value_is_fresh_no_longer_than_one_from_here(
        self, across_clock: HandClock
    ) -> None:
        store = MemoryStore()
        async with fleet(1, store, ttl=100) as (long,), fleet(1, store) as (short,):
            await fill(long.cache, "k", "value")
            assert await short.get("k", Source()) == "value"
            across_clock.advance(10)
            assert (long.peek(), short.peek()) == ("value", None)
            assert await short.get("k", Source()) == 1

    @pytest.mark.parametrize("method", ["read", "acquire"])
    async def test_no_value_lives_longer_because_the_clock_of_the_server_went_back(
        self, across_clock: HandClock, method: str
    ) -> None:
        class Behind(MemoryStore):
            def _outcome(self, state: Any, now: float) -> Any:
                found = super()._outcome(state, now)
                return found and replace(found, age=found.age - 3600)

        async with fleet(2, Behind()) as (one, two), anyio.create_task_group() as tasks:
            if method == "acquire":  # it is stored after two has looked for it
                gate = two.hold_answers("read")
                call = await start_get(tasks, two.cache, "k", Source())
                await fill(one.cache, "k", "value")
                gate.set()
                await settle()
            else:
                await fill(one.cache, "k", "value")
                call = await start_get(tasks, two.cache, "k", Source())
            assert call.value == two.peek() == "value"
            across_clock.advance(10)
            assert two.peek() is None

    async def test_one_that_lives_for_ever_does_so_everywhere(
        self, across_clock: HandClock
    ) -> None:
        async with fleet(2, ttl=math.inf) as (one, two):
            await one.cache.get("k", Source(), tags=["a"])
            across_clock.advance(1e6)
            assert await two.get("k", Source()) == 1
            await two.cache.invalidate_tag("a")
            assert one.peek() is two.peek() is None
