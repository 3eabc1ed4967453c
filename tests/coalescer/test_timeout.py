"""How long one call waits: ``timeout=``, ``fallback=`` and the scopes around a call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import trio.testing

from anyflight import Coalescer
from tests.support import ASYNCIO_BACKENDS, Work, assert_idle, settle, start

# Trio: the mock clock jumps as soon as all tasks wait. asyncio: the few milliseconds are real.


@pytest.fixture(params=[*ASYNCIO_BACKENDS, pytest.param("trio", id="trio with mock clock")])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "trio":
        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return request.param


pytestmark = pytest.mark.anyio
SOON = 0.005


async def here(value: str) -> anyio.TaskInfo:
    return anyio.get_current_task()


async def test_a_call_whose_timeout_is_over_leaves_and_harms_nobody() -> None:
    work = Work()
    async with Coalescer[str, str]() as coalescer, anyio.create_task_group() as tasks:
        patient = await start(tasks, coalescer, "k", work, "value")
        with pytest.raises(TimeoutError, match=r"no outcome for key 'k' within 0\.005 seconds"):
            await coalescer.execute("k", work, "value", timeout=SOON)
        assert coalescer.statistics().waiting == 1
        work.go.set()
    assert patient.value == "value"
    assert work.cancelled == 0


async def test_the_work_is_cancelled_if_the_call_whose_timeout_is_over_was_the_last() -> None:
    work = Work()
    async with Coalescer[str, str]() as coalescer:
        with pytest.raises(TimeoutError):
            await coalescer.execute("k", work, "value", timeout=SOON)
    assert work.cancelled == 1
    assert_idle(coalescer)


async def test_the_fallback_runs_in_the_callers_own_task_with_the_same_arguments() -> None:
    work = Work()
    async with Coalescer[str, Any]() as coalescer:
        task = await coalescer.execute("k", work, "value", timeout=SOON, fallback=here)
        assert task == anyio.get_current_task()


async def test_the_fallback_is_not_bounded_by_the_timeout() -> None:
    async def slow(value: str) -> str:
        await anyio.sleep(3 * SOON)
        return f"slow {value}"

    async with Coalescer[str, str]() as coalescer:
        value = await coalescer.execute("k", Work(), "value", timeout=SOON, fallback=slow)
    assert value == "slow value"


async def test_an_error_of_the_fallback_is_the_callers() -> None:
    async def fail(_value: str) -> str:
        raise KeyError("no row")

    async with Coalescer[str, str]() as coalescer:
        with pytest.raises(KeyError) as caught:
            await coalescer.execute("k", Work(), "value", timeout=SOON, fallback=fail)
    assert caught.value.__context__ is None


async def test_a_value_in_time_needs_no_fallback() -> None:
    work = Work()
    work.go.set()
    async with Coalescer[str, str]() as coalescer:
        for timeout in (60, 60.0, math.inf):
            value = await coalescer.execute("k", work, "v", timeout=timeout, fallback=_never)
            assert value == "v"


async def _never(value: str) -> str:
    raise AssertionError(value)


async def test_a_fallback_without_a_timeout_is_never_needed() -> None:
    work = Work()
    work.go.set()
    async with Coalescer[str, str]() as coalescer:
        assert await coalescer.execute("k", work, "v", fallback=_never) == "v"


async def test_a_timeout_of_zero_starts_nothing() -> None:
    work = Work()
    async with Coalescer[str, str]() as coalescer:
        with pytest.raises(TimeoutError):
            await coalescer.execute("k", work, "value", timeout=0)
        await settle()
    assert work.calls == []


@pytest.mark.parametrize("scope", [anyio.move_on_after, anyio.fail_after])
async def test_move_on_after_and_fail_after_around_a_call_work_too(
    scope: Callable[[float], Any],
) -> None:
    work = Work()
    async with Coalescer[str, str]() as coalescer, anyio.create_task_group() as tasks:
        patient = await start(tasks, coalescer, "k", work, "value")
        try:
            with scope(SOON):
                await coalescer.execute("k", work, "value")
        except TimeoutError:
            assert scope is anyio.fail_after
        else:
            assert scope is anyio.move_on_after
        assert coalescer.statistics().waiting == 1
        work.go.set()
    assert patient.value == "value"


async def test_the_timeout_of_one_call_and_the_fresh_flight_it_waits_for() -> None:
    work = Work()
    async with Coalescer[str, str]() as coalescer, anyio.create_task_group() as tasks:
        running = await start(tasks, coalescer, "k", work, "old")
        with pytest.raises(TimeoutError):
            await coalescer.execute("k", work, "new", fresh=True, timeout=SOON)
        assert len(coalescer.flights()) == 1
        work.go.set()
    assert running.value == "old"
    assert work.calls == [("old",)]


async def test_the_age_of_a_flight_counts_from_the_call_of_its_function() -> None:
    work = Work()
    async with Coalescer[str, str]() as coalescer, anyio.create_task_group() as tasks:
        await start(tasks, coalescer, "k", work, "value")
        await start(tasks, coalescer, "k", work, "value", fresh=True)
        await anyio.sleep(SOON)
        running, queued = coalescer.flights()
        assert running.age >= SOON * 0.9  # loops may wake a timer a clock tick early
        assert queued.age == 0
        work.go.set()
