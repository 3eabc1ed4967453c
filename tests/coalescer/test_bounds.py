"""Law 12: what bounds a flight: `flight_timeout`, `limiter` and `max_waiters`, each on its own."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import anyio
import pytest

from anyflight import Coalescer, FlightTimeoutError
from tests.support import (
    ASYNCIO_BACKENDS,
    HandClock,
    Work,
    assert_idle,
    asyncio_tasks,
    settle,
    start,
)

pytestmark = pytest.mark.anyio
HOUR = 3600.0


class Thing:
    """A key, an argument or a value, to see when it goes."""


class TestFlightTimeout:
    async def test_law_16_nothing_of_a_landed_flight_stays_till_its_deadline(
        self, clock: HandClock
    ) -> None:
        async def work(argument: Thing) -> Thing:
            await go.wait()
            thing = Thing()
            refs.append(weakref.ref(thing))
            return thing

        go, refs = anyio.Event(), []
        async with Coalescer[Any, Thing](flight_timeout=HOUR) as coalescer:
            async with anyio.create_task_group() as tasks:
                key, argument = Thing(), Thing()
                refs += [weakref.ref(key), weakref.ref(argument)]
                caller = await start(tasks, coalescer, key, work, argument)
                assert clock.alarms == [HOUR]
                del key, argument
                go.set()
            del caller
            gc.collect()
            assert [ref() for ref in refs] == [None, None, None]
            assert clock.alarms == [HOUR]
        assert clock.alarms == []

    async def test_a_flight_queued_when_the_block_is_left_has_its_deadline_too(
        self, clock: HandClock
    ) -> None:
        first, second = Work(), Work()
        async with anyio.create_task_group() as tasks:
            async with Coalescer[int, int](flight_timeout=5) as coalescer:
                running = await start(tasks, coalescer, 1, first, 1)
                queued = await start(tasks, coalescer, 1, second, 2, fresh=True)

                async def later() -> None:
                    await settle()
                    first.go.set()
                    await settle()
                    assert clock.alarms == [5]
                    clock.advance(5)

                tasks.start_soon(later)
        assert running.value == 1
        assert isinstance(queued.outcome, FlightTimeoutError)
        assert second.cancelled == 1
        assert_idle(coalescer)

    @pytest.mark.parametrize("anyio_backend", ASYNCIO_BACKENDS)
    async def test_a_native_cancellation_of_the_task_that_keeps_the_deadlines_loses_none(
        self, clock: HandClock
    ) -> None:
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, Work(), 1)
                [keeper] = asyncio_tasks("keeper of deadlines")
                keeper.cancel()
                await settle()
                clock.advance(5)
            assert isinstance(caller.outcome, FlightTimeoutError)
        assert_idle(coalescer)

    async def test_a_back_end_that_refuses_the_task_for_the_deadlines_hangs_nobody(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_owner: Any, task: Any, role: str) -> None:
            task.close()
            raise MemoryError("no more tasks")

        work = Work()
        work.go.set()
        async with Coalescer[int, int](flight_timeout=HOUR) as coalescer:
            with monkeypatch.context() as patch:
                patch.setattr(type(coalescer._owner), "start", refuse)
                with pytest.raises(MemoryError):
                    await coalescer.execute(1, work, 1)
            assert coalescer.flights() == ()
            assert await coalescer.execute(1, work, 1) == 1
        assert coalescer.statistics().failed == 1
        assert_idle(coalescer)
