"""Reads the server's counter and the pool's gauge while a trace is sent."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, NoReturn

import anyio

from demo.clock import sleep_until
from demo.figures import Count

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from demo.traffic import Trace
    from examples.user_service.pool_gauge import PoolGauge

INTERVAL = 0.25
"""Seconds from one reading of the counter to the next."""


async def sample(
    read_counter: Callable[[], Awaitable[int]],
    counts: list[Count],
    *,
    start: float,
    progress: Callable[[float], None],
    interval: float = INTERVAL,
) -> NoReturn:
    """Append a reading to `counts` every `interval` seconds, until cancelled.

    `start` is the time of the trace's zero on the clock `time.perf_counter`. A reading's time is
    that of its answer. `progress` is told how many seconds of the trace are over.
    """
    await sleep_until(start)
    while True:
        total = await read_counter()
        now = perf_counter() - start
        counts.append(Count(now, total))
        progress(now)
        await anyio.sleep(interval - now % interval)  # a late reading does not delay the next


async def pool_utilisation(gauge: PoolGauge, trace: Trace, *, start: float) -> float:
    """Return the mean share of the connections in use during the spike, 0 to 1.

    Returns when the spike is over. It wakes up a little late, so it goes by the gauge's own clock.
    """
    await sleep_until(start + trace.spike_start)
    begin = anyio.current_time()
    busy_before = gauge.busy_seconds(begin)
    await sleep_until(start + trace.spike_end)
    end = anyio.current_time()
    return (gauge.busy_seconds(end) - busy_before) / (gauge.size * (end - begin))
