"""Old values: served while a flight in the background fetches the next, or in place of an error."""

from __future__ import annotations

import logging
import math

import anyio
import pytest

from anyflight import (
    DeadlockError,
    FlightTimeoutError,
    ReadThroughCache,
    TooManyWaitersError,
)
from tests.cache.getting import Source, assert_settled, start_get
from tests.support import HandClock, Work, settle

pytestmark = pytest.mark.anyio


class TestWhileRevalidate:
    async def test_the_old_value_is_served_at_once_and_the_next_one_comes(
        self, clock: HandClock
    ) -> None:
        source = Source()
        async with ReadThroughCache[int, int](ttl=10, stale_while_revalidate=5) as cache:
            assert await cache.get(1, source) == 1
            clock.advance(10)
            for _ in range(3):
                assert await cache.get(1, source) == 1
            assert cache.peek(1) == 1
            await settle()
            assert await cache.get(1, source) == 2
            now = cache.statistics()
            assert (now.hits, now.stale, now.misses, now.refreshes) == (1, 3, 1, 1)
            assert_settled(cache)

    async def test_a_thousand_calls_start_one_flight_in_the_background(
        self, clock: HandClock
    ) -> None:
        work = Work()
        work.go.set()
        cache = ReadThroughCache[int, int](ttl=10, stale_while_revalidate=5)
        async with cache:
            await cache.get(1, work, 1)
            work.go = anyio.Event()
            clock.advance(12)
            for _ in range(500):
                assert await cache.get(1, work, 2) == 1
            await settle()
            for _ in range(500):
                assert await cache.get(1, work, 2) == 1
            assert len(work.calls) == 2
            work.go.set()
            await settle()
            assert await cache.get(1, work, 3) == 2
            assert cache.statistics().refreshes == 1

    async def test_when_the_window_is_over_a_call_joins_the_flight_in_the_background(
        self, clock: HandClock
    ) -> None:
        work = Work()
        work.go.set()
        cache = ReadThroughCache[int, int](ttl=10, stale_while_revalidate=5)
        async with cache, anyio.create_task_group() as tasks:
            await cache.get(1, work, 1)
            work.go = anyio.Event()
            clock.advance(12)
            assert await cache.get(1, work, 2) == 1
            await settle()
            clock.advance(3)
            late = await start_get(tasks, cache, 1, work, 3)
            late.cancel()  # it was the only one to wait, and the flight goes on
            await settle()
            later = await start_get(tasks, cache, 1, work, 4)
            work.go.set()
        assert later.value == 2
        assert len(work.calls) == 2

    async def test_a_refresh_that_fails_leaves_the_value_in_peace_for_a_tenth_of_its_time(
        self, clock: HandClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "anyflight")
        source = Source()
        cache = ReadThroughCache[int, int](ttl=10, stale_while_revalidate=math.inf, name="users")
        async with cache:
            await cache.get(1, source)
            source.fail = OSError("down")
            for moment in (10, math.nextafter(11, 0), 11, 11.5):
                clock.now = moment
                assert await cache.get(1, source) == 1
                await settle()
            assert source.calls == 3  # at 10 and at 11
            source.fail = None
            clock.now = 12
            assert await cache.get(1, source) == 1
            await settle()
            assert await cache.get(1, source) == 4
            now = cache.statistics()
            assert (now.stale, now.refreshes, now.refresh_failures) == (5, 3, 2)
            assert_settled(cache)
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "'users'" in record.getMessage()
        assert "1 could not be refreshed" in record.getMessage()
        assert record.exc_info is not None

    async def test_the_time_for_which_its_error_is_kept_decides_when_it_is_asked_again(
        self, clock: HandClock
    ) -> None:
        source = Source()
        cache = ReadThroughCache[int, int](
            ttl=10, stale_while_revalidate=20, error_ttl={OSError: 4}
        )
        async with cache:
            await cache.get(1, source)
            source.fail = OSError("down")
            for moment in (10, 13.9, 14, 29.9):
                clock.now = moment
                assert await cache.get(1, source) == 1
                await settle()
            assert source.calls == 4
            clock.now = 30  # the window is over, the error is kept
            with pytest.raises(OSError, match="down"):
                await cache.get(1, source)
            assert source.calls == 4
            assert cache.statistics().kept_errors == 1

    async def test_work_that_ignores_its_deadline_is_asked_no_more_often(
        self, clock: HandClock
    ) -> None:
        """Its end tells of the failure, but may never come: so the pause begins with its start."""

        async def hang(key: int) -> int:
            nonlocal calls
            calls += 1
            if calls > 1:
                with anyio.CancelScope(shield=True):
                    await go_on.wait()
            return key

        calls, go_on = 0, anyio.Event()
        cache = ReadThroughCache[int, int](
            ttl=10, stale_while_revalidate=math.inf, flight_timeout=0.1
        )
        async with cache:
            await cache.get(1, hang, 1)
            for tenth in range(100, 200):
                clock.now = tenth / 10 + 0.05
                assert await cache.get(1, hang, 1) == 1
                await settle()
            assert 1 < calls <= 12
            go_on.set()

    async def test_a_refresh_that_takes_too_long_has_failed(self, clock: HandClock) -> None:
        source = Source()
        cache = ReadThroughCache[int, int](ttl=10, stale_while_revalidate=5, flight_timeout=1)
        async with cache:
            await cache.get(1, source)
            clock.advance(10)
            assert await cache.get(1, anyio.sleep_forever) == 1
            await settle()
            clock.advance(1)
            await settle()
            assert cache.statistics().refresh_failures == 1
            assert await cache.get(1, source) == 1
            await settle()
            assert source.calls == 1  # left in peace
            assert_settled(cache)

    async def test_closing_waits_for_the_flight_in_the_background(self, clock: HandClock) -> None:
        ended: list[int] = []

        async def slow() -> int:
            await anyio.lowlevel.checkpoint()
            ended.append(1)
            return 2

        async with ReadThroughCache[int, int](ttl=10, stale_while_revalidate=5) as cache:
            await cache.get(1, Source())
            clock.advance(10)
            await cache.get(1, slow)
        assert ended == [1]
        assert_settled(cache)

    async def test_an_old_value_is_served_within_the_work_of_its_own_key(
        self, clock: HandClock
    ) -> None:
        """It is no deadlock: nothing waits."""
        async with ReadThroughCache[int, int](ttl=10, stale_while_revalidate=5) as cache:
            source = Source()

            async def outer() -> int:
                return await cache.get(1, source) + 10

            await cache.get(1, source)
            clock.advance(10)
            assert await cache.get(2, outer) == 11
            await settle()
            assert await cache.get(1, source) == 2


class TestRefreshAhead:
    async def test_a_value_is_fetched_early_if_the_draw_says_so(
        self, clock: HandClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def work() -> float:
            clock.advance(2)
            return clock.now

        draws = [1.0, math.exp(-1.0)]
        async with ReadThroughCache[int, float](ttl=10, refresh_ahead=1) as cache:
            monkeypatch.setattr(type(cache._first), "draw", lambda self: draws.pop(0))
            assert await cache.get(1, work) == 2
            clock.now = 10.5  # expires at 12
            assert await cache.get(1, work) == 2
            assert await cache.get(1, work) == 2
            assert cache.statistics().refreshes == 1
            assert cache.statistics().hits == 2
            await settle()
            assert cache.peek(1) == 12.5

    async def test_no_draw_is_made_while_none_could_make_it_due(
        self, clock: HandClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def work() -> int:
            clock.advance(0.1)
            return 1

        async with ReadThroughCache[int, int](ttl=10, refresh_ahead=1) as cache:
            monkeypatch.setattr(type(cache._first), "draw", lambda self: pytest.fail("drawn"))
            await cache.get(1, work)
            clock.now = 6
            assert await cache.get(1, work) == 1

    async def test_in_the_long_run_a_hot_key_never_expires(self, clock: HandClock) -> None:
        async def work() -> float:
            clock.advance(0.5)
            return clock.now

        async with ReadThroughCache[int, float](ttl=10, refresh_ahead=1) as cache:
            for _ in range(500):
                await cache.get(1, work)
                await settle_quickly()
                clock.advance(0.05)
            now = cache.statistics()
            assert now.misses == 1
            assert now.refreshes >= 2


async def settle_quickly() -> None:
    for _ in range(3):
        await anyio.lowlevel.checkpoint()


class TestIfError:
    async def test_a_value_is_served_in_place_of_an_error_to_all_who_wait(
        self, clock: HandClock
    ) -> None:
        work = Work()
        work.go.set()
        cache = ReadThroughCache[int, int](ttl=10, stale_if_error=5)
        async with cache, anyio.create_task_group() as tasks:
            await cache.get(1, work, 1)
            work.go, work.fail = anyio.Event(), OSError("down")
            clock.advance(10)
            callers = [await start_get(tasks, cache, 1, work, 2) for _ in range(3)]
            assert cache.peek(1) is None
            work.go.set()
            await settle()
            assert [caller.value for caller in callers] == [1, 1, 1]
            now = cache.statistics()
            assert (now.misses, now.stale_if_error, now.coalescing.failed) == (4, 3, 1)
            clock.advance(5)
            with pytest.raises(OSError, match="down"):
                await cache.get(1, work, 3)
            assert_settled(cache)

    async def test_a_fresh_call_gets_the_error(self, clock: HandClock) -> None:
        source = Source()
        async with ReadThroughCache[int, int](ttl=10, stale_if_error=5) as cache:
            await cache.get(1, source)
            source.fail = OSError("down")
            with pytest.raises(OSError, match="down"):
                await cache.get(1, source, fresh=True)
            assert await cache.get(1, source) == 1
            clock.advance(10)
            assert await cache.get(1, source) == 1

    async def test_with_error_ttl_the_work_is_not_asked_for_so_long(self, clock: HandClock) -> None:
        source = Source()
        cache = ReadThroughCache[int, int](ttl=10, stale_if_error=50, error_ttl={OSError: 3})
        async with cache:
            await cache.get(1, source)
            source.fail = OSError("down")
            for moment in (10, 12.9, 13, 15.9):
                clock.now = moment
                assert await cache.get(1, source) == 1
            assert source.calls == 3
            assert cache.peek(1) == 1
            clock.now = 16
            assert cache.peek(1) is None  # `get` would ask
            now = cache.statistics()
            assert (now.misses, now.kept_errors, now.stale_if_error) == (3, 2, 4)

    async def test_a_flight_that_takes_too_long_counts_as_an_error(self, clock: HandClock) -> None:
        cache = ReadThroughCache[int, int](ttl=10, stale_if_error=5, flight_timeout=1)
        async with cache, anyio.create_task_group() as tasks:
            await cache.get(1, Source())
            clock.advance(10)
            plain = await start_get(tasks, cache, 1, anyio.sleep_forever)
            clock.advance(1)
            await settle()
            assert plain.value == 1
            fresh = await start_get(tasks, cache, 1, anyio.sleep_forever, fresh=True)
            clock.advance(1)
            await settle()
            assert isinstance(fresh.outcome, FlightTimeoutError)

    async def test_a_call_that_finds_no_room_gets_the_value(self, clock: HandClock) -> None:
        work = Work()
        work.go.set()
        cache = ReadThroughCache[int, int](ttl=10, stale_if_error=5, max_waiters=1)
        async with cache, anyio.create_task_group() as tasks:
            await cache.get(1, work, 1)
            work.go = anyio.Event()
            clock.advance(10)
            await start_get(tasks, cache, 1, work, 2)
            assert await cache.get(1, work, 3) == 1
            fresh = await start_get(tasks, cache, 1, work, 4, fresh=True)  # queued
            with pytest.raises(TooManyWaitersError):
                await cache.get(1, work, 5, fresh=True)
            work.go.set()
        assert fresh.value == 4

    async def test_a_deadlock_is_a_fault_of_the_program_and_hidden_from_nobody(
        self, clock: HandClock
    ) -> None:
        async with ReadThroughCache[int, int](ttl=10, stale_if_error=5) as cache:

            async def again() -> int:
                return await cache.get(1, again)

            await cache.get(1, Source())
            clock.advance(10)
            with pytest.raises(DeadlockError):
                await cache.get(1, again)

    async def test_what_was_invalidated_stands_in_for_nothing(self, clock: HandClock) -> None:
        work = Work()
        work.go.set()
        cache = ReadThroughCache[int, int](ttl=10, stale_if_error=5)
        async with cache, anyio.create_task_group() as tasks:
            await cache.get(1, work, 1)
            clock.advance(10)
            work.go, work.fail = anyio.Event(), OSError("down")
            caller = await start_get(tasks, cache, 1, work)
            await cache.invalidate(1)
            work.go.set()
            await settle()
            assert isinstance(caller.outcome, OSError)
            assert_settled(cache)

    @pytest.mark.parametrize("window", [0, 5])
    async def test_a_value_that_was_set_while_the_work_was_failing_stands_in_too(
        self, clock: HandClock, window: float
    ) -> None:
        work = Work(fail=OSError("down"))
        cache = ReadThroughCache[int, int](ttl=10, stale_if_error=window)
        async with cache, anyio.create_task_group() as tasks:
            caller = await start_get(tasks, cache, 1, work)
            await cache.set(1, 5)
            work.go.set()
            await settle()
            if window:
                assert caller.value == 5
            else:
                assert isinstance(caller.outcome, OSError)
