"""Law 10: how the owner of a loader ends, and what its callers get."""

from __future__ import annotations

import threading
from itertools import product
from typing import Any

import anyio
import anyio.to_thread
import pytest

from anyflight import BatchLoader, FlightCancelledError
from anyflight._batch import KeyFlight, KeyTable
from anyflight._batches import Batches
from anyflight._outcome import Cancellation
from tests.loader.batching import LoadBatch, ask, ask_many, assert_idle
from tests.support import CANCELLED, WAYS, Caller, HandClock, settle


class Owner:
    """A task that opens a loader, and leaves when it is told to, in the way it is told."""

    def __init__(self, work: LoadBatch, **options: Any) -> None:
        self.loader = BatchLoader[Any, Any](work, **options)
        self.leave = anyio.Event()
        self.error: Exception | None = None
        self.caller = Caller()

    async def run(self, way: str = "scope") -> None:
        await self.caller.run(way, self._main)

    async def _main(self) -> str:
        async with self.loader:
            await self.leave.wait()
            if self.error is not None:
                raise self.error
        return "left"


@pytest.mark.anyio
async def test_law_10_leaving_normally_waits_until_all_flights_have_landed() -> None:
    work = LoadBatch()
    owner = Owner(work, max_concurrent_batches=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run)
        await settle()
        callers = await ask(tasks, owner.loader, 1)
        callers += await ask(tasks, owner.loader, 1, fresh=True)
        callers += await ask(tasks, owner.loader, 2)
        owner.leave.set()
        await settle()
        with pytest.raises(anyio.ClosedResourceError):
            await owner.loader.load(3)
        with pytest.raises(anyio.ClosedResourceError):
            await owner.loader.load_many([1, 3])
        assert owner.caller.outcome != "left"
        work.release()
    assert owner.caller.value == "left"
    assert [caller.value for caller in callers] == ["value of 1", "value of 1", "value of 2"]
    assert [sorted(keys) for keys in work.batches] == [[1], [1, 2]]
    assert owner.loader.statistics().refused == 2
    assert_idle(owner.loader)


@pytest.mark.anyio
@pytest.mark.parametrize(("way", "when"), [*product(WAYS, ["open", "closing"]), ("error", "open")])
async def test_law_10_when_the_owner_is_cancelled_all_are_told(way: str, when: str) -> None:
    """What is queued or in line is told at once, and not after the clean-up of what runs."""
    work = LoadBatch(slow_cleanup=True)
    owner = Owner(work, max_concurrent_batches=1)
    if way == "error":
        owner.error = LookupError("left by an error")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run, "scope" if way == "error" else way)
        await settle()
        running = await ask(tasks, owner.loader, 1)
        waiting = await ask(tasks, owner.loader, 1, fresh=True)
        waiting += await ask(tasks, owner.loader, 2)
        if when == "closing" or way == "error":
            owner.leave.set()
        await settle()
        if way != "error":
            owner.caller.cancel()
        await settle()
        told = [type(caller.outcome) for caller in waiting]
        late = [type(caller.outcome) for caller in running]
        work.cleaned_up.set()
    assert told == [FlightCancelledError] * 2
    assert late == [object]
    assert [type(caller.outcome) for caller in running] == [FlightCancelledError]
    assert owner.caller.outcome is (owner.error if way == "error" else CANCELLED)
    assert work.batches == [[1]]
    assert_idle(owner.loader)


@pytest.mark.anyio
async def test_law_10_what_has_waited_for_its_delay_is_told_too(clock: HandClock) -> None:
    work = LoadBatch()
    owner = Owner(work, max_delay=60)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run)
        await settle()
        (caller,) = await ask(tasks, owner.loader, 1)
        owner.caller.cancel()
    assert isinstance(caller.outcome, FlightCancelledError)
    assert work.batches == clock.alarms == []
    assert_idle(owner.loader)


@pytest.mark.anyio
async def test_law_10_a_queued_key_that_is_left_while_closing_holds_up_nobody() -> None:
    work = LoadBatch()
    owner = Owner(work, max_concurrent_batches=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(owner.run)
        await settle()
        await ask(tasks, owner.loader, 1)
        (queued,) = await ask(tasks, owner.loader, 1, fresh=True)
        await ask(tasks, owner.loader, 2)
        owner.leave.set()
        await settle()
        owner.loader.forget(1)  # the queued one is in the next batch now, with 2
        await settle()
        queued.cancel()
        await settle()
        work.release()
    assert queued.outcome is CANCELLED
    assert owner.caller.value == "left"
    assert work.batches == [[1], [2]]
    assert_idle(owner.loader)


@pytest.mark.anyio
async def test_law_10_an_interrupt_in_the_work_wakes_everybody_and_comes_out() -> None:
    class Interrupt(BaseException):
        """As KeyboardInterrupt, which would stop the event loop of asyncio."""

    work = LoadBatch(fail=Interrupt())
    loader = BatchLoader[int, str](work, max_concurrent_batches=1)
    async with anyio.create_task_group() as tasks:
        with pytest.raises(Interrupt):
            async with loader:
                callers = await ask(tasks, loader, 1)
                callers += await ask(tasks, loader, 2)
                work.release()
                await anyio.sleep_forever()
    assert [type(caller.outcome) for caller in callers] == [FlightCancelledError] * 2
    assert_idle(loader)


@pytest.mark.anyio
@pytest.mark.parametrize("times", [1, 2])
async def test_law_10_an_interrupt_in_the_midst_of_a_landing_wakes_everybody(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupt(BaseException):
        """As KeyboardInterrupt, which would stop the event loop of asyncio."""

    def land(table: KeyTable, flight: KeyFlight, outcome: Any) -> KeyFlight | None:
        nonlocal times
        if isinstance(outcome, Cancellation) and times == 1:
            times = 0
            raise Interrupt
        successor = land_alone(table, flight, outcome)
        if flight.key == 1 and times:
            times -= 1
            raise Interrupt
        return successor

    land_alone = KeyTable.land
    monkeypatch.setattr(KeyTable, "land", land)
    work = LoadBatch()
    loader = BatchLoader[int, str](work)
    async with anyio.create_task_group() as tasks:
        with pytest.raises((Interrupt, BaseExceptionGroup)):
            async with loader:
                callers = [await ask_many(tasks, loader, 1, 2, 3)]
                callers += await ask(tasks, loader, 3)
                callers += await ask(tasks, loader, 1, fresh=True)
                work.release()
                await anyio.sleep_forever()
    assert [type(caller.outcome) for caller in callers] == [FlightCancelledError] * 3


@pytest.mark.anyio
async def test_law_10_an_interrupt_before_a_key_is_in_a_batch_comes_out_as_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupt(BaseException):
        """As KeyboardInterrupt, which would stop the event loop of asyncio."""

    def board(batches: Batches, flight: KeyFlight) -> None:
        raise Interrupt

    loader = BatchLoader[int, str](LoadBatch())
    monkeypatch.setattr(Batches, "_board", board)
    with pytest.raises(Interrupt):
        async with loader:
            await loader.load(1)
    assert_idle(loader)


@pytest.mark.anyio
async def test_law_10_a_loader_can_be_opened_again() -> None:
    work = LoadBatch()
    work.release()
    loader = BatchLoader[int, str](work)
    for _ in range(2):
        async with loader:
            assert await loader.load(1) == "value of 1"
            with pytest.raises(RuntimeError, match="cannot be entered twice"):
                await loader.__aenter__()
        with pytest.raises(anyio.ClosedResourceError):
            await loader.load(1)
    assert_idle(loader)


@pytest.mark.anyio
async def test_law_10_before_it_is_open_a_call_says_what_to_do() -> None:
    loader = BatchLoader[int, str](LoadBatch(), name="users")
    for call in (lambda: loader.load(1), lambda: loader.load_many([1])):
        with pytest.raises(RuntimeError, match=r"BatchLoader 'users' .* is not open"):
            await call()
    with pytest.raises(RuntimeError, match="was not entered"):
        await loader.__aexit__(None, None, None)
    assert repr(loader) == "<BatchLoader 'users' (new), 0 in flight>"


@pytest.mark.anyio
async def test_law_10_another_event_loop_is_told_what_to_do() -> None:
    def elsewhere() -> None:
        for call in (lambda: loader.load(1), lambda: loader.load_many([1])):
            with pytest.raises(RuntimeError, match="belongs to another event loop or thread"):
                anyio.run(call)

    async with BatchLoader[int, str](LoadBatch()) as loader:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
    assert loader.statistics().calls == 0


def test_law_10_it_can_be_opened_on_another_back_end() -> None:
    async def main() -> None:
        async with loader:
            assert await loader.load_many([1, 2]) == {1: "value of 1", 2: "value of 2"}

    async def load_batch(keys: list[int]) -> dict[int, str]:
        return {key: f"value of {key}" for key in keys}

    loader = BatchLoader(load_batch)
    anyio.run(main)
    anyio.run(main, backend="trio")
    assert_idle(loader)
