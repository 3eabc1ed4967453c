"""The counter is read again and again, and the pool at both ends of the spike."""

from __future__ import annotations

from time import perf_counter

import anyio
import pytest

from demo.figures import Count
from demo.sampler import pool_utilisation, sample
from demo.traffic import Trace
from examples.user_service.pool_gauge import PoolGauge

pytestmark = pytest.mark.anyio


async def test_readings_are_kept_with_their_time_until_the_sampler_is_cancelled() -> None:
    counts: list[Count] = []
    seconds: list[float] = []

    async def read_counter() -> int:
        if len(counts) == 2:
            tasks.cancel_scope.cancel()
        return 10 * len(counts)

    async with anyio.create_task_group() as tasks:
        start = perf_counter()
        tasks.create_task(
            sample(read_counter, counts, start=start, progress=seconds.append, interval=0.001)
        )
    assert [count.total for count in counts] == [0, 10, 20]
    assert [count.at for count in counts] == seconds == sorted(seconds)


@pytest.mark.parametrize("in_use", [0, 1, 4])
async def test_the_pool_s_utilisation_is_that_of_the_spike(in_use: int) -> None:
    trace = Trace(arrivals=(), rows=9, spike_start=0.01, spike_end=0.03, end=0.05)
    gauge = PoolGauge(4)
    with gauge.use(), gauge.use(), gauge.use():
        await anyio.sleep(0.01)  # before the spike: must not count
    gauge.in_use = in_use
    utilisation = await pool_utilisation(gauge, trace, start=perf_counter())
    assert utilisation == pytest.approx(in_use / 4)
