"""Law 6: leave the table, then store, then wake."""

from __future__ import annotations

import anyio
import pytest

from anyflight import Coalescer
from tests.support import Work, assert_idle, start

pytestmark = pytest.mark.anyio


async def test_law_6_a_call_made_by_a_woken_waiter_starts_a_new_flight() -> None:
    work = Work()

    async def twice() -> tuple[int, int]:
        return await coalescer.execute(1, work, 1), await coalescer.execute(1, work, 2)

    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        results: list[tuple[int, int]] = []

        async def call() -> None:
            results.append(await twice())

        for _ in range(10):
            tasks.start_soon(call)
        await start(tasks, coalescer, 2, work)  # returns when they all wait
        work.go.set()
    assert results == [(1, 2)] * 10
    assert [args for args in work.calls if args] == [(1,), (2,)]
    assert_idle(coalescer)


async def test_law_6_a_call_after_the_landing_starts_a_new_flight_though_others_wake_later() -> (
    None
):
    """The work's last act schedules a call that runs before the waiters do, or right after."""
    values: list[int] = []

    async def work(value: int) -> int:
        await gate.wait()
        return value

    async def call(value: int) -> None:
        await gate.wait()
        values.extend([await coalescer.execute(1, work, value) for _ in range(3)])

    gate = anyio.Event()
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        starter = await start(tasks, coalescer, 1, work, 0)
        tasks.start_soon(call, 1)
        gate.set()
    assert starter.value == 0
    # The first may have joined the flight that was landing; the later ones cannot have.
    assert values[1:] == [1, 1]


async def test_law_6_the_table_is_free_when_the_starter_returns() -> None:
    work = Work()
    work.go.set()
    async with Coalescer[int, int]() as coalescer:
        for value in range(100):
            assert await coalescer.execute(1, work, value) == value
            assert coalescer.flights() == ()
    assert_idle(coalescer)
