"""What happens seldom: event loops that stop in the midst, back ends that refuse, interrupts."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from types import coroutine
from typing import Any

import anyio
import pytest
import trio

from anyflight import Coalescer, FlightCancelledError, FlightLanded, Instrument
from anyflight._flight import FlightTable
from anyflight._in_context import InContext
from anyflight._leaders import Leaders
from anyflight._led_flight import Leader, LedFlight
from anyflight._outcome import OWNER_GONE
from tests.support import Caller, Work, assert_idle, settle, start

SEEN: ContextVar[str] = ContextVar("SEEN", default="nothing")


@coroutine
def pause() -> Any:
    return (yield "paused")


class TestInContext:
    def test_each_step_runs_in_the_context_and_none_of_it_outside(self) -> None:
        seen: list[str] = []

        async def work() -> str:
            seen.append(SEEN.get())
            SEEN.set("by the work")
            seen.append(str(await pause()))
            seen.append(SEEN.get())
            return "done"

        context = copy_context()
        context.run(SEEN.set, "by the context")
        steps = InContext(work(), context)
        assert next(steps) == "paused"
        with pytest.raises(StopIteration) as done:
            steps.send("sent")
        assert done.value.value == "done"
        assert seen == ["by the context", "sent", "by the work"]
        assert SEEN.get() == "nothing"

    def test_closing_it_ends_the_work_in_the_context(self) -> None:
        seen: list[str] = []

        async def work() -> None:
            try:
                await pause()
            finally:
                seen.append(SEEN.get())

        context = copy_context()
        context.run(SEEN.set, "by the context")
        steps = InContext(work(), context)
        next(steps)
        steps.close()
        assert seen == ["by the context"]

    @pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
    def test_it_tells_whether_a_cancellation_was_thrown_in(self, error: Any) -> None:
        async def work() -> None:
            try:
                await pause()
            except BaseException:
                await pause()

        steps = InContext(work(), copy_context())
        next(steps)
        steps.throw(error())
        assert steps.interrupted is (error is asyncio.CancelledError)
        steps.close()


async def where_the_leader_stands() -> list[str]:
    """Return the names of the functions in which a leader waits, as a debugger finds them."""
    names: list[str] = []
    async with Coalescer[int, None]() as coalescer, anyio.create_task_group() as tasks:

        async def deep_in_the_work() -> None:
            await anyio.sleep_forever()

        caller = await start(tasks, coalescer, 1, deep_in_the_work)
        one: Any = next(iter(coalescer._table)).leader.handle.coro
        while one is not None and hasattr(one, "cr_frame"):
            names.append(one.cr_frame.f_code.co_name)
            one = one.cr_await
        caller.cancel()
    return names


@pytest.mark.anyio
async def test_a_debugger_finds_the_way_from_a_leader_to_its_work() -> None:
    names = await where_the_leader_stands()
    assert names[0] == "_lead"
    assert "deep_in_the_work" in names


def test_trio_shows_where_the_work_stands() -> None:
    async def main() -> None:
        tasks: list[trio.lowlevel.Task] = []

        async def deep_in_the_work() -> None:
            tasks.append(trio.lowlevel.current_task())
            await anyio.sleep_forever()

        async with Coalescer[int, None]() as coalescer, anyio.create_task_group() as group:
            caller = await start(group, coalescer, 1, deep_in_the_work)
            frames = [frame.f_code.co_name for frame, _ in tasks[0].iter_await_frames()]
            caller.cancel()
        assert "deep_in_the_work" in frames

    trio.run(main)


@pytest.mark.anyio
async def test_a_leader_that_is_closed_in_the_midst_ends_the_work_and_tells_nobody() -> None:
    # As Python does with what an event loop left behind: there is nobody who could be told.
    ended: list[str] = []

    async def work() -> None:
        try:
            await pause()
        finally:
            ended.append("the work")

    async with Coalescer[int, None]() as coalescer:
        flight = LedFlight(1, (work, ()), copy_context(), None, anyio.Event())
        coalescer._table.add(flight)
        steps = coalescer._leaders._lead(Leader(flight))
        assert steps.send(None) == "paused"
        steps.close()
        assert ended == ["the work"]
        assert flight.outcome is None
        coalescer._table.land(flight, OWNER_GONE)


@pytest.mark.anyio
async def test_a_call_for_which_no_task_can_be_made_gets_the_reason() -> None:
    class Refusing:
        def create_task(self, *args: object, **options: object) -> None:
            raise RuntimeError("no more tasks")

    async with Coalescer[int, int]() as coalescer:
        group, coalescer._owner._task_group = coalescer._owner._task_group, Refusing()  # type: ignore[assignment]
        with pytest.raises(RuntimeError, match="no more tasks"):
            await coalescer.execute(1, Work())
        coalescer._owner._task_group = group
        assert_idle(coalescer)


def test_a_keeper_of_deadlines_that_never_ran_leaves_nothing_behind() -> None:
    async def main() -> None:
        coalescer = Coalescer[int, int](flight_timeout=60)
        with pytest.raises(RuntimeError, match="cancelled from outside before it began"):
            async with coalescer:
                call = asyncio.ensure_future(coalescer.execute(1, Work()))
                await asyncio.sleep(0)
                for task in asyncio.all_tasks():
                    if task not in {call, asyncio.current_task()}:
                        task.cancel()
                await anyio.sleep_forever()
        with pytest.raises(FlightCancelledError):
            await call
        assert_idle(coalescer)

    asyncio.run(main())


class Interrupt(BaseException):
    """Such as KeyboardInterrupt, of which asyncio makes something else."""


class Interrupting(Instrument):
    def flight_landed(self, event: FlightLanded) -> None:
        raise KeyboardInterrupt


def interrupt(*args: object) -> None:
    raise Interrupt


@pytest.mark.parametrize(
    ("backend", "where"),
    [
        ("trio", "an instrument"),
        ("trio", "the table"),
        ("trio", "a take-off"),
        ("asyncio", "the table"),
        ("asyncio", "a take-off"),
    ],
)
def test_law_10_an_interrupt_in_a_landing_leaves_nobody_waiting(
    backend: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = [Caller(), Caller()]

    async def main() -> None:
        instruments = [Interrupting()] if where == "an instrument" else []
        work = Work()
        async with (
            anyio.create_task_group() as tasks,
            Coalescer[int, int](instruments=instruments) as coalescer,
        ):
            for caller, fresh in zip(callers, (False, where == "a take-off"), strict=True):

                async def call(fresh: bool = fresh) -> int:
                    return await coalescer.execute(1, work, 7, fresh=fresh)

                tasks.start_soon(caller.run, "scope", call)
                await settle()
            if where == "the table":
                monkeypatch.setattr(FlightTable, "_remove", interrupt)
            if where == "a take-off":
                monkeypatch.setattr(Leaders, "_take_off", interrupt)
            work.go.set()
            await anyio.sleep_forever()

    with pytest.raises(BaseException) as caught:
        anyio.run(main, backend=backend)
    assert "Interrupt" in repr(caught.value)
    assert all(
        caller.outcome == 7 or isinstance(caller.outcome, FlightCancelledError)
        for caller in callers
    )
