"""The one clock of a run: `time.perf_counter`, on either event loop and in every thread."""

from __future__ import annotations

from time import perf_counter

import anyio


async def sleep_until(moment: float) -> None:
    """Sleep until `moment` on `time.perf_counter`; a checkpoint also if that has passed."""
    await anyio.sleep(max(0.0, moment - perf_counter()))
