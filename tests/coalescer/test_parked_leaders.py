"""Leaders that have landed a flight are used again, and nothing of it reaches the next."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from contextvars import ContextVar
from typing import Any, Literal

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from anyflight import Coalescer, FlightCancelledError, FlightTimeoutError
from anyflight._leaders import MAX_PARKED
from anyflight._led_flight import LedFlight
from anyflight._outcome import Cancellation, Expiry, Value
from tests.support import (
    ASYNCIO_BACKENDS,
    WAYS,
    Caller,
    HandClock,
    Work,
    assert_idle,
    asyncio_tasks,
    caught_cancellation,
    settle,
    start,
    start_many,
)

on_asyncio = pytest.mark.parametrize("anyio_backend", ASYNCIO_BACKENDS)
VALUE: ContextVar[object] = ContextVar("VALUE", default="none")


async def who() -> int:
    """Return the task that runs the work."""
    return anyio.get_current_task().id


def parked(coalescer: Coalescer[Any, Any]) -> int:
    return len(coalescer._leaders._parked)


def take_off(coalescer: Coalescer[Any, Any], key: Any, work: Any, *args: Any) -> LedFlight:
    """Start a flight, with a waiter that does not wait; its leader takes its first step later."""
    flight = coalescer._leaders.start(key, (work, args))
    assert flight.began is None
    return flight


@pytest.mark.anyio
async def test_a_leader_takes_one_flight_after_another_whatever_the_key() -> None:
    async with Coalescer[int, int]() as coalescer:
        leaders = {await coalescer.execute(key, who) for key in range(10)}
        assert len(leaders) == parked(coalescer) == 1


@pytest.mark.anyio
async def test_no_more_than_max_parked_wait_for_a_flight() -> None:
    work = Work()
    async with Coalescer[int, int]() as coalescer:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for key in range(MAX_PARKED + 7):
                    tasks.start_soon(coalescer.execute, key, work, key)
                await settle()
                assert parked(coalescer) == 0
                work.go.set()
            await settle()
            assert parked(coalescer) == MAX_PARKED
            work.go = anyio.Event()
    assert len(work.calls) == 2 * (MAX_PARKED + 7)
    assert parked(coalescer) == 0
    assert_idle(coalescer)


@pytest.mark.anyio
@pytest.mark.parametrize("error", [None, ValueError()])
async def test_a_leader_is_used_again_whether_its_work_returned_or_failed(error: Any) -> None:
    work = Work(fail=error)
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        await start(tasks, coalescer, 1, work)
        work.go.set()
        await settle()
        assert parked(coalescer) == 1


@pytest.mark.anyio
async def test_a_leader_whose_flight_was_left_before_its_first_step_is_used_again() -> None:
    async with Coalescer[int, int]() as coalescer:
        leader = await coalescer.execute(1, who)
        await settle()
        coalescer._leaders.leave(take_off(coalescer, 2, who))
        await settle()
        assert parked(coalescer) == 1
        assert await coalescer.execute(3, who) == leader
    assert coalescer.statistics().cancelled == 1


class TestLeadersThatEnd:
    """What a cancellation leaves behind in a task is not the next flight's business."""

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("way", WAYS)
    async def test_one_whose_flight_was_abandoned(self, way: str) -> None:
        async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
            (await start(tasks, coalescer, 1, Work(), way=way)).cancel()
            await settle()
            assert parked(coalescer) == 0

    async def test_one_whose_flight_was_abandoned_though_its_work_ignored_that(self) -> None:
        async def ignore() -> None:
            with anyio.CancelScope(shield=True):
                await go.wait()

        async def call() -> Any:
            await go.wait()  # and find a leader that has just landed its flight
            return await coalescer.execute(2, checkpoint_and_return, "value")

        async def checkpoint_and_return(value: str) -> str:
            await checkpoint()
            return value

        go, caller = anyio.Event(), Caller()
        async with Coalescer[int, Any]() as coalescer, anyio.create_task_group() as tasks:
            (await start(tasks, coalescer, 1, ignore)).cancel()
            tasks.start_soon(caller.run, "scope", call)
            await settle()
            go.set()
            await settle()
            assert caller.value == "value"
            assert parked(coalescer) == 1
        assert_idle(coalescer)

    async def test_one_whose_flight_expired(self, clock: HandClock) -> None:
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, 1, Work())
                clock.advance(5)
            assert isinstance(caller.outcome, FlightTimeoutError)
            await settle()
            assert parked(coalescer) == 0

    async def test_one_whose_flight_expired_before_its_first_step(self, clock: HandClock) -> None:
        async with Coalescer[int, int](flight_timeout=5) as coalescer:
            await coalescer.execute(1, who)
            await settle()
            flight = take_off(coalescer, 2, who)
            assert parked(coalescer) == 0
            coalescer._leaders._expire(flight)
            await settle()
            assert isinstance(flight.outcome, Expiry)
            assert flight.began is None
            assert parked(coalescer) == 0
        assert_idle(coalescer)

    async def test_one_whose_work_raised_a_stray_cancellation(self, clock: HandClock) -> None:
        async def stray() -> None:
            raise await caught_cancellation()

        async with Coalescer[int, None]() as coalescer:
            assert clock.now == 0  # a time like any other
            with pytest.raises(FlightCancelledError):
                await coalescer.execute(1, stray)
            await settle()
            assert parked(coalescer) == 0

    @on_asyncio  # whose tasks count their cancellations; Trio's do not
    async def test_one_whose_work_was_cancelled_by_a_scope_of_its_own(self) -> None:
        async def give_up() -> str:
            with anyio.move_on_after(0):
                await anyio.sleep_forever()
            return "gave up"

        async with Coalescer[int, str]() as coalescer:
            assert await coalescer.execute(1, give_up) == "gave up"
            await settle()
            assert parked(coalescer) == 0

    @on_asyncio
    @pytest.mark.parametrize("cancelled_while", ["it works", "it waits for a token"])
    async def test_one_that_was_cancelled_natively(self, cancelled_while: str) -> None:
        limiter, other, work = anyio.CapacityLimiter(2), Work(), Work()
        async with Coalescer[int, int](limiter=limiter) as coalescer:
            async with anyio.create_task_group() as tasks:
                bystander = await start(tasks, coalescer, 1, other, 1)
                [busy] = asyncio_tasks("leader")
                if cancelled_while == "it waits for a token":
                    limiter.total_tokens = 1
                caller = await start(tasks, coalescer, 2, work, 2)
                [leader] = set(asyncio_tasks("leader")) - {busy}
                leader.cancel()
                await settle()
                assert isinstance(caller.outcome, FlightCancelledError)
                assert leader.done()
                other.go.set()
            assert bystander.value == 1
        assert len(work.calls) == (1 if cancelled_while == "it works" else 0)
        assert limiter.borrowed_tokens == 0
        assert_idle(coalescer)

    @on_asyncio
    async def test_one_whose_work_caught_a_native_cancellation_and_went_on(self) -> None:
        """Such a task counts a cancellation for ever, which later work would take for its own."""

        async def catch() -> str:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return "went on"
            raise AssertionError

        async def fail() -> None:
            await asyncio.sleep(0)
            raise ValueError

        async def fail_and_go_on() -> str:
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(fail())
            await asyncio.sleep(0)
            return "nothing is left behind"

        async with Coalescer[int, str]() as coalescer:
            assert await coalescer.execute(1, catch) == "went on"
            await settle()
            assert parked(coalescer) == 0
            assert await coalescer.execute(2, fail_and_go_on) == "nothing is left behind"


@pytest.mark.anyio
@on_asyncio
class TestCancelledNativelyWhileParked:
    """On asyncio a program may cancel all tasks that it finds."""

    async def test_it_is_used_no_more_and_nobody_notices(self) -> None:
        async with Coalescer[int, int]() as coalescer:
            await coalescer.execute(1, who)
            await settle()
            [task] = asyncio_tasks("leader")
            task.cancel()
            await settle()
            assert task.done()
            assert parked(coalescer) == 0
            assert await coalescer.execute(1, who)

    @pytest.mark.parametrize("others", [0, 1])
    async def test_the_flight_it_was_given_in_the_same_tick_takes_off_with_another(
        self, others: int
    ) -> None:
        work = Work()
        work.go.set()
        async with Coalescer[int, Any]() as coalescer, anyio.create_task_group() as tasks:
            held = Work()
            await start_many(1, tasks, coalescer, 1, held)
            await coalescer.execute(2, work)
            if others:
                held.go.set()
                await settle()
            assert parked(coalescer) == 1 + others
            flight = take_off(coalescer, 3, work, "value")
            leader = flight.leader
            assert leader is not None
            [task] = [task for task in asyncio_tasks("leader") if id(task) == leader.task_id]
            task.cancel()
            await settle()
            assert isinstance(flight.outcome, Value)
            assert task.done()
            held.go.set()
        assert_idle(coalescer)

    @pytest.mark.parametrize("how", ["left", "expired"])
    async def test_the_flight_it_was_given_is_left_or_expires_in_the_same_tick(
        self, how: str, clock: HandClock
    ) -> None:
        """With a limiter, or at its deadline, the leader is cancelled too: twice at once, then."""
        limiter, other = anyio.CapacityLimiter(2), Work()
        async with Coalescer[int, Any](limiter=limiter, flight_timeout=5) as coalescer:
            async with anyio.create_task_group() as tasks:
                bystander = await start(tasks, coalescer, 1, other, "other")
                leader = await coalescer.execute(2, who)
                flight = take_off(coalescer, 3, who)
                [task] = [task for task in asyncio_tasks("leader") if id(task) == leader]
                task.cancel()
                if how == "left":
                    coalescer._leaders.leave(flight)
                else:
                    coalescer._leaders._expire(flight)
                await settle()
                assert "open" in repr(coalescer)
                other.go.set()
            assert bystander.value == "other"
            assert task.done()
        assert limiter.borrowed_tokens == 0
        assert_idle(coalescer)

    async def test_the_flight_it_was_given_when_the_block_is_left(self) -> None:
        work = Work()
        work.go.set()
        async with Coalescer[int, Any]() as coalescer:
            await coalescer.execute(1, work)
            flight = take_off(coalescer, 2, work, "value")
            [task] = asyncio_tasks("leader")
            task.cancel()
        assert isinstance(flight.outcome, Value)
        assert_idle(coalescer)


class TestTheNextFlight:
    """It sees nothing of the one before on the same leader."""

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("context", ["caller", "owner"])
    async def test_law_14_context_variables_set_by_the_work_before_are_not_seen(
        self, context: Literal["caller", "owner"]
    ) -> None:
        async def change() -> tuple[int, object]:
            seen = VALUE.get()
            VALUE.set("left behind")
            await checkpoint()
            return await who(), seen

        token = VALUE.set("the owner's and the caller's")
        async with Coalescer[int, Any](context=context) as coalescer:
            seen = [await coalescer.execute(key, change) for key in (1, 1, 2)]
        VALUE.reset(token)
        assert seen == [(seen[0][0], "the owner's and the caller's")] * 3

    async def test_law_14_each_step_of_the_work_is_in_its_own_context(self) -> None:
        async def steps(name: str) -> list[object]:
            seen = []
            for _ in range(3):
                await checkpoint()
                seen.append(VALUE.get())
            VALUE.set(f"changed by {name}")
            await checkpoint()
            return [*seen, VALUE.get()]

        async def call(name: str) -> None:
            VALUE.set(name)
            seen[name] = await coalescer.execute(name, steps, name)

        seen: dict[str, list[object]] = {}
        async with Coalescer[str, list[object]]() as coalescer:
            for _ in range(2):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(call, "a")
                    tasks.start_soon(call, "b")
                assert seen == {name: [name] * 3 + [f"changed by {name}"] for name in "ab"}

    async def test_law_16_a_parked_leader_holds_nothing_of_the_flight_before(self) -> None:
        class Thing(Exception):
            """A key, an argument, a context variable's value, a result, or an error."""

        def made() -> Thing:
            thing = Thing()
            refs.append(weakref.ref(thing))
            return thing

        async def work(argument: Thing) -> Thing:
            VALUE.set(argument)
            await checkpoint()
            if argument.args:
                raise made()
            return made()

        async def call(*args: Any) -> None:
            things = [Thing(), Thing(*args), Thing()]
            refs.extend(map(weakref.ref, things))
            VALUE.set(things[2])
            try:
                await coalescer.execute(things[0], work, things[1])
            except Thing:
                pass

        refs: list[weakref.ref[Thing]] = []
        async with Coalescer[Any, Thing]() as coalescer:
            gc.collect()
            gc.disable()
            try:
                for args in ((), ("fail",)):
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(call, *args)
                    await settle()
                    assert parked(coalescer) == 1
                    assert [ref() for ref in refs] == [None] * 4
                    refs.clear()
            finally:
                gc.enable()


class TestTheOwnersEnd:
    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("how", ["left", "error", *WAYS])
    async def test_law_10_parked_leaders_end_with_the_block(self, how: str) -> None:
        async def own() -> None:
            async with coalescer:
                await coalescer.execute(1, who)
                await leave.wait()
                if how == "error":
                    raise ValueError

        coalescer, leave, owner = Coalescer[int, int](), anyio.Event(), Caller()
        way = "scope" if how in {"left", "error"} else how
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(owner.run, way, own)
            await settle()
            assert parked(coalescer) == 1
            if how in WAYS:
                owner.cancel()
            else:
                leave.set()
        assert parked(coalescer) == 0
        async with coalescer:
            assert await coalescer.execute(1, who)
        assert_idle(coalescer)

    @pytest.mark.parametrize("how", ["left", "error"])
    async def test_law_10_the_block_is_left_in_the_tick_in_which_one_is_given_a_flight(
        self, how: str
    ) -> None:
        work = Work()
        work.go.set()
        coalescer = Coalescer[int, Any]()
        try:
            async with coalescer:
                await coalescer.execute(1, work)
                flight = take_off(coalescer, 2, work, "value")
                if how == "error":
                    raise KeyError
        except KeyError:
            pass
        assert isinstance(flight.outcome, Value if how == "left" else Cancellation)
        assert len(work.calls) == (2 if how == "left" else 1)
        assert_idle(coalescer)


async def interrupt() -> None:
    raise KeyboardInterrupt


def test_law_10_a_keyboard_interrupt_ends_parked_leaders_too_on_trio() -> None:
    async def main() -> None:
        with pytest.raises(KeyboardInterrupt):
            async with coalescer:
                await use_three_leaders(coalescer)
                with pytest.raises(FlightCancelledError):
                    await coalescer.execute(1, interrupt)
                await anyio.sleep_forever()
        async with coalescer:
            await coalescer.execute(1, who)

    coalescer = Coalescer[int, Any]()
    trio.run(main)
    assert_idle(coalescer)


def test_law_10_a_keyboard_interrupt_ends_parked_leaders_too_on_asyncio() -> None:
    async def own() -> None:
        async with coalescer:
            await use_three_leaders(coalescer)
            with pytest.raises(FlightCancelledError):
                await coalescer.execute(1, interrupt)
            await asyncio.sleep(60)

    async def again() -> None:
        async with coalescer:
            await coalescer.execute(1, who)

    coalescer = Coalescer[int, Any]()
    loop = asyncio.new_event_loop()
    try:
        owner = loop.create_task(own())
        for _ in range(2):  # once out of the leader, once out of the owner
            with pytest.raises(KeyboardInterrupt):
                loop.run_until_complete(owner)
        loop.run_until_complete(again())
    finally:
        loop.close()
    assert_idle(coalescer)


async def use_three_leaders(coalescer: Coalescer[int, Any]) -> None:
    async with anyio.create_task_group() as tasks:
        for key in range(3):
            tasks.start_soon(coalescer.execute, key, checkpoint)
    await checkpoint()
    assert parked(coalescer) == 3


ABANDONED_LOOP = """
import asyncio, gc, logging, sys
import anyio
from anyflight import Coalescer

logging.disable()  # of asyncio, which tells of every task that is pending
coalescer = Coalescer(flight_timeout=3600, retry_on=ValueError)

async def main():
    limited = Coalescer(flight_timeout=3600, limiter=anyio.CapacityLimiter(1))
    for one in (coalescer, limited):
        await one.__aenter__()
        await one.execute(0, anyio.sleep, 0)
        for key in (1, 1, 2):
            asyncio.ensure_future(one.execute(key, anyio.sleep_forever))
        await asyncio.sleep(0.01)
    print(coalescer, limited, len(coalescer._leaders._parked))

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
gc.collect()
"""


def test_an_event_loop_that_is_closed_inside_the_block_is_left_without_a_word() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", ABANDONED_LOOP],
        capture_output=True,
        check=False,
        text=True,
    )
    assert run.stdout.split(")")[0] == "<Coalescer 'coalescer' (open"
    assert (run.returncode, run.stderr) == (0, "")
