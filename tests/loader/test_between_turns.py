"""What comes between the turns in which a batch takes off, and begins."""

from __future__ import annotations

import anyio
import pytest

from anyflight import BatchLoader
from tests.loader.batching import LoadBatch, assert_idle
from tests.support import Caller, settle

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
