"""Law 10: how the owner ends, and what its waiters get."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Coroutine
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from anyflight import Coalescer, FlightCancelledError
from anyflight._leaders import Leaders
from tests.support import (
    ASYNCIO_BACKENDS,
    CANCELLED,
    PENDING,
    WAYS,
    Caller,
    Work,
    assert_idle,
    settle,
    start,
    start_many,
)


class Owner:
    """A task that opens a coalescer, and leaves when it is told to, in the way it is told."""

    def __init__(self, **options: Any) -> None:
        self.coalescer = Coalescer[Any, Any](**options)
        self.leave = anyio.Event()
        self.error: Exception | None = None
        self.caller = Caller()

    async def run(self, way: str = "scope") -> None:
        await self.caller.run(way, self._main)

    async def _main(self) -> str:
        async with self.coalescer:
            await self.leave.wait()
            if self.error is not None:
                raise self.error
        return "left"


@pytest.mark.anyio
async def test_law_10_leaving_normally_waits_until_all_flights_have_landed() -> None:
    owner, work = Owner(), Work()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run)
        await settle()
        callers = await start_many(3, tasks, owner.coalescer, 1, work, 1)
        callers += await start_many(3, tasks, owner.coalescer, 1, work, 1, fresh=True)
        owner.leave.set()
        await settle()
        assert "closing" in repr(owner.coalescer)
        with pytest.raises(anyio.ClosedResourceError, match="takes no new calls"):
            await owner.coalescer.execute(1, work, 1)
        work.go.set()
    assert owner.caller.value == "left"
    assert [caller.value for caller in callers] == [1] * 6
    assert owner.coalescer.statistics().refused == 1
    assert_idle(owner.coalescer)


@pytest.mark.anyio
async def test_law_10_closing_waits_for_the_clean_up_of_abandoned_work_too() -> None:
    owner, work = Owner(), Work(slow_cleanup=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run)
        await settle()
        (await start(tasks, owner.coalescer, 1, work, 1)).cancel()
        owner.leave.set()
        await settle()
        assert work.running == 1
        assert "closing" in repr(owner.coalescer)
        work.cleaned_up.set()
    assert owner.caller.value == "left"


@pytest.mark.anyio
@pytest.mark.parametrize("how", [*WAYS, "error"])
async def test_law_10_an_owner_that_is_cancelled_or_fails_wakes_every_waiter(how: str) -> None:
    owner, work = Owner(), Work()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run, "scope" if how == "error" else how)
        await settle()
        callers = await start_many(3, tasks, owner.coalescer, "running", work)
        callers += await start_many(3, tasks, owner.coalescer, "running", work, fresh=True)
        callers += await start_many(1, tasks, owner.coalescer, "detached", work)
        assert owner.coalescer.forget("detached")
        if how == "error":
            owner.error = ValueError("the body failed")
            owner.leave.set()
        else:
            owner.caller.cancel()
    assert owner.caller.outcome is (CANCELLED if owner.error is None else owner.error)
    assert {type(caller.outcome) for caller in callers} == {FlightCancelledError}
    assert {caller.outcome.key for caller in callers} == {"running", "detached"}
    assert "owner was cancelled" in str(callers[0].outcome)
    # The two that ran; what was queued when the owner went was never called.
    assert work.cancelled == len(work.calls) == 2
    assert_idle(owner.coalescer)


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS)
async def test_law_10_an_owner_cancelled_while_it_waits_for_the_last_flights(way: str) -> None:
    owner, work = Owner(), Work()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run, way)
        await settle()
        callers = await start_many(3, tasks, owner.coalescer, 1, work)
        callers += await start_many(3, tasks, owner.coalescer, 1, work, fresh=True)
        owner.leave.set()
        await settle()
        owner.caller.cancel()
    assert owner.caller.outcome is CANCELLED
    assert {type(caller.outcome) for caller in callers} == {FlightCancelledError}
    assert_idle(owner.coalescer)


@pytest.mark.anyio
async def test_law_10_an_error_in_the_body_comes_out_as_itself_not_in_a_group() -> None:
    with pytest.raises(ValueError, match="of the body"):
        async with Coalescer[int, int]():
            raise ValueError("of the body")


@pytest.mark.anyio
async def test_law_10_a_group_raised_in_the_body_comes_out_as_it_is() -> None:
    group = ExceptionGroup("of the body", [ValueError(1), KeyError(2)])
    with pytest.raises(ExceptionGroup) as caught:
        async with Coalescer[int, int]():
            raise group
    assert caught.value is group


class Fatal(BaseException):
    """What is no Exception and no cancellation, and does not stop asyncio's loop at once."""


@pytest.mark.anyio
async def test_law_10_what_is_no_exception_comes_out_of_the_owner_with_its_cause() -> None:
    async def fatal() -> None:
        await go.wait()
        raise Fatal from ValueError("cause")

    go, queued = anyio.Event(), Work()
    async with anyio.create_task_group() as tasks:
        with pytest.raises(Fatal) as caught:
            async with Coalescer[str, Any]() as coalescer:
                callers = await start_many(2, tasks, coalescer, "k", fatal)
                callers += await start_many(2, tasks, coalescer, "k", queued, fresh=True)
                callers += await start_many(1, tasks, coalescer, "other", Work())
                go.set()
                await anyio.sleep_forever()
    assert repr(caught.value.__cause__) == "ValueError('cause')"
    assert {type(caller.outcome) for caller in callers} == {FlightCancelledError}
    assert queued.calls == []
    assert_idle(coalescer)


@pytest.mark.anyio
async def test_law_10_several_errors_come_out_in_a_group() -> None:
    async def fatal() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise Fatal

    async with anyio.create_task_group() as tasks:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with Coalescer[int, None]() as coalescer:
                await start(tasks, coalescer, 1, fatal)
                await start(tasks, coalescer, 2, fatal)
                raise ValueError("of the body")
    assert sorted(type(error).__name__ for error in caught.value.exceptions) == [
        "Fatal",
        "Fatal",
        "ValueError",
    ]


@pytest.mark.anyio
async def test_law_10_a_flight_that_has_not_begun_when_the_block_fails_is_not_called() -> None:
    old, new = Work(), Work()
    async with anyio.create_task_group() as tasks:
        with pytest.raises(ValueError):
            async with Coalescer[int, Any]() as coalescer:
                await start(tasks, coalescer, 1, old, 1)
                queued = await start(tasks, coalescer, 1, new, 2, fresh=True)
                assert coalescer.forget(1)  # now the queued flight is starting
                raise ValueError
    assert isinstance(queued.outcome, FlightCancelledError)
    assert new.calls == []
    assert_idle(coalescer)


@pytest.mark.anyio
async def test_law_10_a_cancelled_owner_starts_nothing_though_its_block_is_shielded() -> None:
    work, late = Work(), Work()
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with Coalescer[int, Any]() as coalescer:
                running = await start(tasks, coalescer, 1, work, 1)
                queued = await start(tasks, coalescer, 1, late, 2, fresh=True)
                with anyio.CancelScope(shield=True):
                    scope.cancel()
                    await settle()
                    assert isinstance(running.outcome, FlightCancelledError)
                    assert isinstance(queued.outcome, FlightCancelledError)
                    with pytest.raises(anyio.ClosedResourceError):
                        await coalescer.execute(2, late, 3)
    assert late.calls == []
    assert_idle(coalescer)


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["cancelled", "cancelled while closing", "error"])
async def test_law_10_what_is_queued_ends_before_the_clean_up_of_what_runs(how: str) -> None:
    owner, work, late = Owner(), Work(slow_cleanup=True), Work()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run)
        await settle()
        running = await start(tasks, owner.coalescer, 1, work)
        queued = await start(tasks, owner.coalescer, 1, late, fresh=True)
        if how == "error":
            owner.error = ValueError("the body failed")
            owner.leave.set()
        else:
            if how == "cancelled while closing":
                owner.leave.set()
                await settle()
            owner.caller.cancel()
        await settle()
        seen = type(queued.outcome), running.outcome
        work.cleaned_up.set()  # or what is wrong would hang
    assert seen == (FlightCancelledError, PENDING)
    assert owner.caller.outcome is (CANCELLED if owner.error is None else owner.error)
    assert isinstance(running.outcome, FlightCancelledError)
    assert late.calls == []
    assert_idle(owner.coalescer)


@pytest.mark.anyio
async def test_law_10_closing_does_not_wait_for_what_is_queued_and_left() -> None:
    owner, work, late = Owner(), Work(), Work()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run)
        await settle()
        running = await start(tasks, owner.coalescer, 1, work, 1)
        queued = await start(tasks, owner.coalescer, 1, late, fresh=True)
        owner.leave.set()
        await settle()
        queued.cancel()
        await settle()
        work.go.set()
        await settle()
        left = owner.caller.outcome
        owner.caller.cancel()
    assert (left, running.value, queued.outcome) == ("left", 1, CANCELLED)
    assert late.calls == []
    assert_idle(owner.coalescer)


@pytest.mark.anyio
async def test_law_10_an_interrupt_while_the_block_closes_ends_it_and_comes_out() -> None:
    """On Trio Ctrl-C comes where the main task waits."""

    class Interrupted:
        def __init__(self, event: anyio.Event) -> None:
            self.set = event.set

        async def wait(self) -> None:
            raise KeyboardInterrupt

    work, late = Work(), Work()
    async with anyio.create_task_group() as tasks:
        with pytest.raises(KeyboardInterrupt):
            async with Coalescer[int, Any]() as coalescer:
                running = await start(tasks, coalescer, 1, work)
                queued = await start(tasks, coalescer, 1, late, fresh=True)
                (flight,) = [one for one in coalescer._table if one.predecessor is not None]
                flight.landing = Interrupted(flight.landing)
    assert isinstance(running.outcome, FlightCancelledError)
    assert isinstance(queued.outcome, FlightCancelledError)
    assert late.calls == []
    assert_idle(coalescer)


@pytest.mark.anyio
@pytest.mark.parametrize("leader", ["parked", "new"])
async def test_law_10_what_takes_off_as_the_owner_is_cancelled_is_cancelled_too(
    leader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_off(leaders: Any, flight: Any) -> None:
        take_off_alone(leaders, flight)
        scope.cancel()

    work, take_off_alone = Work(), Leaders._take_off
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with Coalescer[int, Any]() as coalescer:
                if leader == "parked":
                    await coalescer.execute(0, anyio.lowlevel.checkpoint)
                monkeypatch.setattr(Leaders, "_take_off", take_off)
                with anyio.CancelScope(shield=True):
                    caller = await start(tasks, coalescer, 1, work)
                    assert isinstance(caller.outcome, FlightCancelledError)
    # To look for that would cost each flight of a parked leader more than it is worth.
    assert len(work.calls) == work.cancelled == (leader == "parked")
    assert_idle(coalescer)


@pytest.mark.anyio
@pytest.mark.parametrize("on_abandon", ["cancel", "finish"])
@pytest.mark.parametrize("closing", [False, True])
async def test_law_10_a_cancelled_owner_starts_nothing_behind_an_abandoned_flight(
    on_abandon: Literal["cancel", "finish"], closing: bool
) -> None:
    owner, work, late = Owner(on_abandon=on_abandon), Work(slow_cleanup=True), Work()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run)
        await settle()
        (await start(tasks, owner.coalescer, 1, work)).cancel()
        await settle()
        queued = await start(tasks, owner.coalescer, 1, late, fresh=True)
        if closing:
            owner.leave.set()
            await settle()
        owner.caller.cancel()
        await settle()
        work.cleaned_up.set()
    assert owner.caller.outcome is CANCELLED
    assert isinstance(queued.outcome, FlightCancelledError)
    assert late.calls == []
    assert_idle(owner.coalescer)


@pytest.mark.anyio
@pytest.mark.parametrize("body", ["error", "cancelled"])
async def test_law_10_leaving_the_block_keeps_no_frame_alive(body: str) -> None:
    class Witness:
        pass

    async def own() -> None:
        nonlocal witness
        thing = Witness()
        witness = weakref.ref(thing)
        async with Coalescer[int, int]() as coalescer:
            with anyio.move_on_after(0):
                await coalescer.execute(1, anyio.sleep_forever)
            if body == "error":
                raise ValueError
            await anyio.sleep_forever()

    witness: Any = None
    gc.collect()
    gc.disable()
    try:
        with anyio.CancelScope() as scope:
            scope.deadline = anyio.current_time() + (0.01 if body == "cancelled" else 60)
            try:
                await own()
            except ValueError:
                pass
        await settle()
        assert witness() is None
    finally:
        gc.enable()


@pytest.mark.anyio
async def test_law_10_closing_what_was_never_opened_changes_nothing() -> None:
    coalescer = Coalescer[int, int]()
    with pytest.raises(RuntimeError, match="was not entered"):
        await coalescer.__aexit__(ValueError, ValueError(), None)
    with pytest.raises(RuntimeError, match=r"\(new\) is not open"):
        await coalescer.execute(1, Work())


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ASYNCIO_BACKENDS[:2])  # an eager leader begins at once
async def test_law_10_a_leader_cancelled_natively_before_its_first_step() -> None:
    """What anyio does then is not in our hands: the group ends. But nobody hangs, or is misled."""
    coalescer, work, other = Coalescer[int, int](), Work(), Work()
    told = False
    async with anyio.create_task_group() as tasks:
        with pytest.raises(RuntimeError, match="cancelled from outside before it began"):
            async with coalescer:
                bystander = await start(tasks, coalescer, 2, other, 1)
                callers = [Caller(), Caller()]

                async def call() -> int:
                    return await coalescer.execute(1, work, 1)

                for caller in callers:
                    tasks.start_soon(caller.run, "scope", call)
                before = asyncio.all_tasks()
                await anyio.lowlevel.checkpoint()
                [leader] = asyncio.all_tasks() - before
                leader.cancel()
                await anyio.sleep_forever()
        told = True  # or the group would have swallowed a cancellation that the block let out
    assert told
    assert {type(caller.outcome) for caller in callers} == {FlightCancelledError}
    assert isinstance(bystander.outcome, FlightCancelledError)
    assert work.calls == []
    assert_idle(coalescer)
    work.go.set()
    async with coalescer:
        assert await coalescer.execute(1, work, 1) == 1


@pytest.mark.anyio
async def test_law_10_work_that_completes_in_spite_of_the_cancellation_gives_its_value() -> None:
    owner, go = Owner(), anyio.Event()

    async def work() -> str:
        with anyio.CancelScope(shield=True):
            await go.wait()
        return "done"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run)
        await settle()
        caller = await start(tasks, owner.coalescer, 1, work)
        owner.caller.cancel()
        await settle()
        go.set()
    assert caller.value == "done"


@pytest.mark.anyio
async def test_law_10_a_closed_coalescer_can_be_opened_again() -> None:
    coalescer = Coalescer[int, int]()
    work = Work()
    work.go.set()
    for times in range(1, 4):
        async with coalescer:
            assert await coalescer.execute(1, work, times) == times
        with pytest.raises(anyio.ClosedResourceError):
            await coalescer.execute(1, work, 1)
    assert coalescer.statistics().flights == 3
    assert coalescer.statistics().refused == 3


def test_law_10_a_closed_coalescer_can_be_opened_in_another_event_loop() -> None:
    async def main() -> int:
        async with coalescer:
            return await coalescer.execute(1, one)

    async def one() -> int:
        return 1

    coalescer = Coalescer[int, int]()
    for backend in ("asyncio", "trio", "asyncio", "trio"):
        assert anyio.run(main, backend=backend) == 1


@pytest.mark.anyio
async def test_law_10_closing_while_callers_come_and_go() -> None:
    """Join, leave and refuse in one tick with the end of the block."""
    work = Work()
    coalescer = Coalescer[int, int]()
    async with anyio.create_task_group() as tasks:
        async with coalescer:
            waiting = await start(tasks, coalescer, 1, work, 1)
            late = Caller()

            async def call() -> int:
                return await coalescer.execute(1, work, 1)

            tasks.start_soon(late.run, "scope", call)
            waiting.cancel()
            work.go.set()
        assert_idle(coalescer)
    assert late.outcome == 1 or isinstance(late.outcome, anyio.ClosedResourceError)
    assert waiting.outcome in {1, CANCELLED}


# A KeyboardInterrupt in a leader stops the event loop on asyncio, so these run their own.


def _calls(coalescer: Coalescer[str, Any], go: anyio.Event) -> dict[str, Coroutine[Any, Any, None]]:
    async def work() -> None:
        await go.wait()
        raise KeyboardInterrupt

    return {
        "starter": coalescer.execute("k", work),
        "joined": coalescer.execute("k", work),
        "queued": coalescer.execute("k", anyio.sleep_forever, fresh=True),
        "other key": coalescer.execute("other", anyio.sleep_forever),
    }


def test_law_10_a_keyboard_interrupt_in_a_leader_on_asyncio() -> None:
    async def own() -> None:
        async with coalescer:
            await asyncio.sleep(3600)

    async def call(caller: Caller, coroutine: Coroutine[Any, Any, Any]) -> None:
        async def awaited() -> Any:
            return await coroutine

        await caller.run("scope", awaited)

    coalescer = Coalescer[str, Any]()
    loop = asyncio.new_event_loop()
    try:
        go = anyio.Event()
        owner = loop.create_task(own())
        loop.run_until_complete(asyncio.sleep(0))
        callers = {name: Caller() for name in ("starter", "joined", "queued", "other key")}
        tasks = []
        for name, coroutine in _calls(coalescer, go).items():
            tasks.append(loop.create_task(call(callers[name], coroutine)))
            loop.run_until_complete(asyncio.sleep(0))
            loop.run_until_complete(asyncio.sleep(0))
        go.set()
        interrupts = 0
        while not all(task.done() for task in (*tasks, owner)):
            try:
                loop.run_until_complete(asyncio.wait([*tasks, owner]))
            except KeyboardInterrupt:
                interrupts += 1
        # Once out of the leader, once out of the owner.
        assert interrupts == 2
        assert isinstance(owner.exception(), KeyboardInterrupt)
    finally:
        loop.close()
    outcomes = {name: type(caller.outcome) for name, caller in callers.items()}
    assert outcomes == dict.fromkeys(callers, FlightCancelledError)
    assert_idle(coalescer)


def test_law_10_a_keyboard_interrupt_in_a_leader_on_trio() -> None:
    async def own() -> None:
        with pytest.raises(KeyboardInterrupt):
            async with coalescer:
                await trio.sleep_forever()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(own)
            await trio.testing.wait_all_tasks_blocked()
            go = anyio.Event()
            for name, coroutine in _calls(coalescer, go).items():

                async def awaited(coroutine: Any = coroutine) -> Any:
                    return await coroutine

                nursery.start_soon(callers[name].run, "scope", awaited)
                await trio.testing.wait_all_tasks_blocked()
            go.set()

    coalescer = Coalescer[str, Any]()
    callers = {name: Caller() for name in ("starter", "joined", "queued", "other key")}
    trio.run(main)
    outcomes = {name: type(caller.outcome) for name, caller in callers.items()}
    assert outcomes == dict.fromkeys(callers, FlightCancelledError)
    assert_idle(coalescer)
