"""Faults that random programs have found."""

from __future__ import annotations

import anyio
import pytest

from anyflight import BatchLoader, FlightTimeoutError
from tests.loader.batching import LoadBatch, ask, assert_idle
from tests.support import Caller, HandClock, settle

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("turns", range(5))
async def test_a_key_is_loaded_that_comes_when_a_batch_has_just_been_left(turns: int) -> None:
    """It boarded the batch that was being cancelled."""
    load_batch = LoadBatch()
    load_batch.release()
    async with BatchLoader(load_batch) as loader, anyio.create_task_group() as tasks:
        first, second = Caller(), Caller()
        tasks.start_soon(first.run, "scope", lambda: loader.load(1))
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        if hasattr(first, "cancel"):
            first.cancel()
        tasks.start_soon(second.run, "scope", lambda: loader.load(2))
        await settle()
        assert second.value == "value of 2"
    assert_idle(loader)


async def test_a_batch_that_goes_because_its_loader_closes_has_a_deadline(clock: HandClock) -> None:
    """The keeper of deadlines had been told to end, since there was none to keep."""
    work = LoadBatch()
    loader = BatchLoader(work, max_delay=60, flight_timeout=5)
    async with anyio.create_task_group() as tasks:
        async with loader:
            await ask(tasks, loader, 1)
            clock.advance(60)
            await settle()
            work.gates[0].set()
            await settle()
            (caller,) = await ask(tasks, loader, 2)
            tasks.start_soon(advance_when_it_runs, work, clock)
    assert isinstance(caller.outcome, FlightTimeoutError)
    assert_idle(loader)


async def advance_when_it_runs(work: LoadBatch, clock: HandClock) -> None:
    await settle()
    assert work.batches == [[1], [2]]
    clock.advance(5)
    await settle()
    work.release()
