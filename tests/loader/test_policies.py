"""Laws 12, 14 and 16: deadlines, contexts, instruments, statistics, and what stays behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from contextvars import ContextVar
from typing import Any, Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyflight import (
    BatchLanded,
    BatchLoader,
    BatchLoaderStatistics,
    CallJoined,
    CallLeft,
    FlightLanded,
    FlightOutcome,
    FlightStarted,
    FlightTimeoutError,
    Instrument,
    MissingKeyError,
)
from tests.loader.batching import LoadBatch, ask, ask_many, assert_idle
from tests.support import CANCELLED, HandClock, settle

pytestmark = pytest.mark.anyio
request: ContextVar[str] = ContextVar("request", default="none")


class TestFlightTimeout:
    async def test_law_12_at_the_deadline_the_keys_and_the_slot_are_free(
        self, clock: HandClock
    ) -> None:
        work = LoadBatch(slow_cleanup=True)
        loader = BatchLoader[int, str](work, flight_timeout=5, max_concurrent_batches=1)
        async with loader, anyio.create_task_group() as tasks:
            callers = await ask(tasks, loader, 1, 2, 2)
            (later,) = await ask(tasks, loader, 3)
            clock.advance(5)
            await settle()
            assert [type(caller.outcome) for caller in callers] == [FlightTimeoutError] * 3
            assert sorted(caller.outcome.key for caller in callers) == [1, 2, 2]
            assert work.cancelled == 1
            assert work.batches[1:] == [[3]], "though the first has not cleaned up"
            (again,) = await ask(tasks, loader, 1)
            work.cleaned_up.set()
            work.release()
        assert (later.value, again.value) == ("value of 3", "value of 1")
        assert loader.statistics().timed_out == 2
        assert clock.alarms == []
        assert_idle(loader)

    async def test_law_12_the_time_in_line_does_not_count(self, clock: HandClock) -> None:
        work = LoadBatch()
        loader = BatchLoader[int, str](work, flight_timeout=5, max_concurrent_batches=1)
        async with loader, anyio.create_task_group() as tasks:
            await ask(tasks, loader, 1)
            clock.advance(3)
            (second,) = await ask(tasks, loader, 2)
            work.gates[0].set()
            await settle()
            clock.advance(4.9)
            await settle()
            work.release()
        assert second.value == "value of 2"
        assert_idle(loader)

    async def test_law_12_work_that_goes_on_counts_for_nothing(self, clock: HandClock) -> None:
        async def load_batch(keys: list[int]) -> dict[int, str]:
            with anyio.CancelScope(shield=True):
                await go_on.wait()
            return dict.fromkeys(keys, "late")

        go_on = anyio.Event()
        loader = BatchLoader(load_batch, flight_timeout=1)
        async with loader, anyio.create_task_group() as tasks:
            (caller,) = await ask(tasks, loader, 1)
            clock.advance(1)
            await settle()
            assert isinstance(caller.outcome, FlightTimeoutError)
            go_on.set()
        now = loader.statistics()
        assert (now.timed_out, now.succeeded) == (1, 0)
        assert_idle(loader)


class TestContext:
    async def test_law_14_the_work_sees_the_context_of_the_first_caller(self) -> None:
        work = LoadBatch(answer=lambda _: None)
        seen = await self._seen("caller", work)
        assert seen == ["first", "queued", "second"]

    async def test_law_14_or_that_of_the_owner(self) -> None:
        seen = await self._seen("owner", LoadBatch(answer=lambda _: None))
        assert seen == ["opened"] * 3

    @staticmethod
    async def _seen(context: Literal["caller", "owner"], work: LoadBatch) -> list[str]:
        async def load_batch(keys: list[int]) -> dict[int, Any]:
            seen.append(request.get())
            request.set("changed by the work")
            return await work(keys)

        async def call(name: str, *keys: int, fresh: bool = False) -> None:
            request.set(name)
            await loader.load_many(keys, fresh=fresh)

        seen: list[str] = []
        request.set("opened")
        loader = BatchLoader(load_batch, context=context)
        async with loader, anyio.create_task_group() as tasks:
            request.set("none of them")
            tasks.start_soon(call, "first", 1, 2)
            await settle()
            tasks.start_soon(lambda: call("queued", 1, fresh=True))
            await settle()
            work.gates[0].set()
            await settle()
            tasks.start_soon(call, "second", 3)
            await settle()
            work.release()
        assert request.get() == "none of them"
        return seen


class Recorder(Instrument):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def flight_started(self, event: FlightStarted) -> None:
        self.events.append(("started", event.key, event.queued))

    def call_joined(self, event: CallJoined) -> None:
        self.events.append(("joined", event.key, event.waiters))

    def call_left(self, event: CallLeft) -> None:
        self.events.append(("left", event.key, event.waiters))

    def flight_landed(self, event: FlightLanded) -> None:
        self.events.append(("landed", event.key, event.outcome, type(event.error)))


async def test_instruments_are_told_of_the_flight_of_each_key() -> None:
    def answer(key: int) -> object:
        return ValueError() if key == 2 else key

    work, recorder = LoadBatch(answer=answer, absent=[3]), Recorder()
    loader = BatchLoader[int, Any](work, instruments=[recorder])
    async with loader, anyio.create_task_group() as tasks:
        many = await ask_many(tasks, loader, 1, 2, 3)
        (one,) = await ask(tasks, loader, 1)
        (left,) = await ask(tasks, loader, 1, fresh=True)
        left.cancel()
        await settle()
        work.release()
    assert (type(many.outcome), one.value, left.outcome) == (ValueError, 1, CANCELLED)
    assert recorder.events == [
        ("started", 1, False),
        ("started", 2, False),
        ("started", 3, False),
        ("joined", 1, 2),
        ("started", 1, True),
        ("left", 1, 0),
        ("landed", 1, FlightOutcome.CANCELLED, type(None)),
        ("landed", 1, FlightOutcome.SUCCEEDED, type(None)),
        ("landed", 2, FlightOutcome.FAILED, ValueError),
        ("landed", 3, FlightOutcome.FAILED, type(None)),
    ]


async def test_instruments_are_told_of_each_batch(clock: HandClock) -> None:
    class Sizes(Instrument):
        def batch_landed(self, event: BatchLanded) -> None:
            events.append(event)

    events: list[BatchLanded] = []
    error = ValueError("no")
    work = LoadBatch()
    loader = BatchLoader[int, str](
        work, name="users", max_delay=2, max_batch_size=2, instruments=[Sizes()]
    )
    async with loader, anyio.create_task_group() as tasks:
        await ask_many(tasks, loader, 1, 2, 3)
        clock.advance(2)
        await settle()
        work.fail = error
        (left,) = await ask(tasks, loader, 4)
        left.cancel()
        await settle()
        clock.advance(3)
        work.gates[1].set()
        await settle()
        work.fail = None
        work.release()
    assert events == [
        BatchLanded("users", 1, FlightOutcome.FAILED, error, delay=2, duration=3),
        BatchLanded("users", 2, FlightOutcome.SUCCEEDED, None, delay=0, duration=5),
    ]


async def test_an_instrument_may_forget_the_flight_that_is_in_front() -> None:
    class Forgetting(Instrument):
        def flight_started(self, event: FlightStarted) -> None:
            if event.queued:
                loader.forget(event.key)

    work = LoadBatch()
    loader = BatchLoader[int, str](work, instruments=[Forgetting()])
    async with loader, anyio.create_task_group() as tasks:
        callers = await ask(tasks, loader, 1)
        callers += await ask(tasks, loader, 1, fresh=True)
        assert work.batches == [[1], [1]]
        work.release()
    assert [caller.value for caller in callers] == ["value of 1"] * 2
    assert_idle(loader)


@pytest.mark.parametrize("act", ["join", "leave"])
async def test_an_instrument_may_let_a_load_run_at_once(act: str, anyio_backend_name: str) -> None:
    """With an eager task factory, in the midst of another call's joining or leaving."""

    class Loading(Instrument):
        def call_joined(self, event: CallJoined) -> None:
            self.step(event.key)

        def call_left(self, event: CallLeft) -> None:
            self.step(event.key)

        def step(self, key: Any) -> None:
            nonlocal armed, nested
            if armed:
                armed = False
                nested = asyncio.ensure_future(loader.load(key))

    if anyio_backend_name != "asyncio":
        pytest.skip("Trio has no such tasks")
    work, armed = LoadBatch(), False
    nested: asyncio.Future[Any] | None = None
    loader = BatchLoader[int, str](work, instruments=[Loading()])
    async with loader, anyio.create_task_group() as tasks:
        one, two = await ask(tasks, loader, 1, 2)
        if act == "join":
            one.cancel()
            await settle()
            armed = True
            (one,) = await ask(tasks, loader, 1)
        else:
            armed = True
        one.cancel()
        await settle()
        assert nested is not None
        nested.cancel()
        await settle()
        assert [info.waiters for info in loader.flights()] == [0, 1]
        assert work.cancelled == 0
        two.cancel()
        await settle()
        assert work.cancelled == 1
    assert_idle(loader)


async def test_the_statistics_count_keys_and_batches() -> None:
    work = LoadBatch(absent=[2])
    async with BatchLoader[int, str](work) as loader, anyio.create_task_group() as tasks:
        await ask(tasks, loader, 1, 2, 2)
        await ask_many(tasks, loader, 1, 3)
        assert loader.statistics() == BatchLoaderStatistics(
            calls=5,
            flights=3,
            joined=2,
            refused=0,
            succeeded=0,
            failed=0,
            cancelled=0,
            timed_out=0,
            in_flight=3,
            waiting=5,
            batches=2,
            loaded=3,
        )
        work.release()
        await settle()
        now = loader.statistics()
        assert (now.succeeded, now.failed, now.in_flight, now.waiting) == (2, 1, 0, 0)


class Thing:
    """A key or a value, to see when it goes."""


async def test_law_16_keys_and_values_go_when_the_last_waiter_has_them() -> None:
    async def load_batch(keys: list[Thing]) -> dict[Thing, Thing]:
        found = {key: Thing() for key in keys if key is not absent}
        values.extend(map(weakref.ref, found.values()))
        return found

    absent = Thing()
    values: list[weakref.ref[Thing]] = []
    async with BatchLoader(load_batch) as loader:
        keys = [Thing() for _ in range(3)]
        references = [weakref.ref(key) for key in keys]
        gc.collect()
        gc.disable()
        try:
            await loader.load(keys[0])
            await loader.load_many(keys)
            with pytest.raises(MissingKeyError):
                await loader.load(absent)
            await checkpoint()
            keys.clear()
            await settle()
            assert [reference() for reference in references] == [None] * 3
            assert [value() for value in values] == [None] * 4
        finally:
            gc.enable()
    assert_idle(loader)


async def test_hooks_of_others_change_nothing() -> None:
    """The package tells by the hooks for async generators which event loop runs."""
    work = LoadBatch()
    work.release()
    async with BatchLoader[int, str](work) as loader:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=lambda _: None)
        try:
            assert await loader.load(1) == "value of 1"
            assert await loader.load_many([1]) == {1: "value of 1"}
        finally:
            sys.set_asyncgen_hooks(*hooks)
