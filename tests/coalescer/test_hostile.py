"""Programs that do what nobody should: they may harm themselves, and no other flight."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any
from weakref import ref

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from anyflight import (
    Coalescer,
    DeadlockError,
    FlightCancelledError,
    FlightLanded,
    FlightStarted,
    Instrument,
)
from tests.support import Work, assert_idle, settle, start, start_many

pytestmark = pytest.mark.anyio


class Held:
    """Something large in a frame of the work."""


class TestFramesOfTheWork:
    """Law 16: what they hold goes when the work ends, without the garbage collector."""

    @pytest.fixture(autouse=True)
    def no_garbage_collector(self) -> Any:
        gc.collect()
        gc.disable()
        yield
        gc.enable()

    async def test_law_16_when_a_scope_of_the_work_was_cancelled(self) -> None:
        async def work() -> None:
            held = Held()
            seen.append(ref(held))
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anyio.sleep_forever()

        seen: list[ref[Held]] = []
        async with Coalescer[int, None]() as coalescer:
            await coalescer.execute(1, work)
            assert [one() for one in seen] == [None]

    async def test_law_16_when_the_work_slept(self) -> None:
        async def work() -> None:
            held = Held()
            seen.append(ref(held))
            await anyio.sleep(0.001)  # which Trio ends by a cancellation

        seen: list[ref[Held]] = []
        async with Coalescer[int, None]() as coalescer:
            await coalescer.execute(1, work)
            assert [one() for one in seen] == [None]

    async def test_law_16_when_the_flight_was_abandoned(self) -> None:
        async def work() -> None:
            held = Held()
            seen.append(ref(held))
            await anyio.sleep_forever()

        seen: list[ref[Held]] = []
        async with Coalescer[int, None]() as coalescer, anyio.create_task_group() as tasks:
            caller = await start(tasks, coalescer, 1, work)
            caller.cancel()
            await settle()
            assert [one() for one in seen] == [None]


class TestInstruments:
    @pytest.mark.parametrize("method", ["flight_started", "call_joined", "flight_landed"])
    async def test_law_9_a_cancellation_that_an_instrument_raises_cancels_nobody(
        self, method: str
    ) -> None:
        """On asyncio, the result of a future that was cancelled raises one, say."""

        def broken(_: object) -> None:
            raise asyncio.CancelledError

        instrument, work = Instrument(), Work()
        setattr(instrument, method, broken)
        with anyio.fail_after(5):
            async with (
                Coalescer[int, int](instruments=[instrument]) as coalescer,
                anyio.create_task_group() as tasks,
            ):
                callers = await start_many(3, tasks, coalescer, 1, work, 7)
                work.go.set()
            assert [caller.value for caller in callers] == [7, 7, 7]
        assert_idle(coalescer)

    async def test_the_one_that_raised_is_dropped_and_not_its_equal(self) -> None:
        class AllEqual(Instrument):
            def __eq__(self, other: object) -> bool:
                return isinstance(other, AllEqual)

            __hash__ = None  # type: ignore[assignment]

        class Whole(AllEqual):
            def flight_landed(self, event: FlightLanded) -> None:
                landed.append(event.key)

        class Broken(AllEqual):
            def flight_started(self, event: FlightStarted) -> None:
                raise OSError(event.key)

        landed: list[object] = []
        work = Work()
        work.go.set()
        async with Coalescer[int, None](instruments=[Whole(), Broken()]) as coalescer:
            await coalescer.execute(1, work)
        assert landed == [1]

    async def test_law_1_one_that_forgets_what_a_flight_is_queued_behind_gives_it_one_leader(
        self,
    ) -> None:
        class Impatient(Instrument):
            def flight_started(self, event: FlightStarted) -> None:
                if event.queued:
                    coalescer.forget(event.key)

        first, second = Work(), Work()
        async with (
            Coalescer[Any, int](instruments=[Impatient()]) as coalescer,
            anyio.create_task_group() as tasks,
        ):
            await start(tasks, coalescer, 1, first)
            await start(tasks, coalescer, 1, second, fresh=True)
            assert len(second.calls) == 1
            first.go.set()
            second.go.set()
        assert_idle(coalescer)


@pytest.mark.parametrize("when", ["flight_started", "call_joined"])
async def test_law_3_an_interrupted_call_is_counted_out(when: str) -> None:
    """An instrument lets an interrupt through, as Ctrl-C may come in one."""

    class Interrupted(Instrument):
        def _interrupt(self, _event: object) -> None:
            if interrupting:
                raise KeyboardInterrupt

        flight_started = call_joined = _interrupt

    async with (
        Coalescer[int, Any](instruments=[Interrupted()]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        work, interrupting = Work(), False
        callers = await start_many(2, tasks, coalescer, 1, work)
        interrupting = True
        with pytest.raises(KeyboardInterrupt):
            await coalescer.execute(1 if when == "call_joined" else 2, work)
        interrupting = False
        assert coalescer.statistics().waiting == len(callers)
        await start(tasks, coalescer, 2, work)  # the key is free
        for caller in callers:
            caller.cancel()
        await settle()
        assert work.cancelled == 1
        work.go.set()
    assert_idle(coalescer)


async def test_law_7_a_generator_exit_of_the_work_is_an_error_of_the_work() -> None:
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        raise GeneratorExit

    async with Coalescer[int, None]() as coalescer:
        with pytest.raises(RuntimeError, match="raised GeneratorExit") as caught:
            await coalescer.execute(1, work)
        assert isinstance(caught.value.__cause__, GeneratorExit)
    assert_idle(coalescer)


def test_law_10_a_keyboard_interrupt_in_the_midst_of_a_landing_leaves_nobody_waiting() -> None:
    """On Trio it comes anywhere, hence also in what a leader does for the table."""

    class Interrupted(Instrument):
        def flight_landed(self, event: FlightLanded) -> None:
            if event.waiters == 2:
                raise KeyboardInterrupt

    async def main() -> None:
        coalescer = Coalescer[int, int](instruments=[Interrupted()])
        work, queued = Work(), Work()
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                with pytest.raises(KeyboardInterrupt):
                    async with coalescer:
                        callers = await start_many(2, tasks, coalescer, 1, work, 7)
                        behind = await start(tasks, coalescer, 1, queued, fresh=True)
                        work.go.set()
                        await anyio.sleep_forever()
            assert [caller.value for caller in callers] == [7, 7]
            assert isinstance(behind.outcome, FlightCancelledError)
        assert not queued.calls
        assert_idle(coalescer)

    anyio.run(main, backend="trio")


async def test_law_16_a_key_that_changed_its_hash_in_flight_leaves_nothing_to_forget() -> None:
    class Key:
        number = 1

        def __hash__(self) -> int:
            return self.number

    key, work = Key(), Work()
    async with (
        Coalescer[Key, int](max_join_age=1e-9) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, coalescer, key, work)
        key.number = 2
        work.go.set()
        await settle()
        key.number = 1
        assert not coalescer.forget(key)
        assert_idle(coalescer)
        await coalescer.execute(key, work)
    assert_idle(coalescer)


async def test_law_10_an_event_loop_without_hooks_for_generators_is_told_from_a_thread() -> None:
    """These hooks are how a call is told to be in the right event loop; not all loops have them."""

    def call() -> None:
        with pytest.raises(RuntimeError, match="another event loop or thread"):
            coalescer.execute(1, Work()).send(None)

    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        async with Coalescer[int, int]() as coalescer:
            await anyio.to_thread.run_sync(call)
            work = Work()
            work.go.set()
            assert await coalescer.execute(1, work, 7) == 7
    finally:
        sys.set_asyncgen_hooks(*hooks)


async def test_law_11_no_false_alarm_while_a_flight_has_its_token_and_has_not_begun() -> None:
    async def outer() -> int:
        await go.wait()
        return await limited.execute("inner", inner, 7)

    limiter = anyio.CapacityLimiter(1)
    go, inner = anyio.Event(), Work()
    inner.go.set()
    async with (
        Coalescer[str, int](limiter=limiter) as limited,
        Coalescer[int, int]() as free,
        anyio.create_task_group() as tasks,
    ):
        limiter.acquire_on_behalf_of_nowait("somebody else")
        callers = [await start(tasks, limited, "inner", inner, 7)]
        callers += [await start(tasks, free, number, outer) for number in range(9)]
        go.set()  # and those that wake before the leader of "inner" find its flight so
        limiter.release_on_behalf_of("somebody else")
    assert [caller.value for caller in callers] == [7] * 10


@pytest.mark.parametrize("outer", ["gather", "TaskGroup"])
def test_law_11_in_a_task_group_of_anyio_in_a_task_of_asyncio(outer: str) -> None:
    async def main() -> None:
        async def join() -> None:
            with pytest.raises(DeadlockError):
                await coalescer.execute(1, Work())

        async def child() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(join)

        async def work() -> str:
            if outer == "gather":
                await asyncio.gather(child())
            else:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(child())
            return "end"

        with anyio.fail_after(5):
            async with Coalescer[int, str]() as coalescer:
                assert await coalescer.execute(1, work) == "end"

    asyncio.run(main())
