"""The seeded schedules keep what their back ends promise, and put back what they changed."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import anyio
import pytest

from proof.backends import BACKENDS, LoopError, run
from proof.shuffled_loop import HangError, ShuffledLoop
from proof.trio_schedule import seeded_schedule


def test_the_schedule_of_trio_is_put_back() -> None:
    trio_run: Any = importlib.import_module("trio._core._run")
    before = trio_run._r.getstate(), trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    with seeded_schedule(1):
        assert trio_run._ALLOW_DETERMINISTIC_SCHEDULING
        assert trio_run._r.getstate() != before[0]
    assert (trio_run._r.getstate(), trio_run._ALLOW_DETERMINISTIC_SCHEDULING) == before


def test_callbacks_of_asyncio_run_in_the_order_in_which_they_were_registered() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(50):
            loop.call_soon(seen.append, number)
            await asyncio.sleep(0)

    for seed in range(5):
        seen: list[int] = []
        run(main, backend="asyncio", seed=seed)
        assert seen == list(range(50))


def test_without_a_seed_tasks_of_asyncio_take_turns_in_order() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(5):
                tasks.create_task(take_turns(number))

    async def take_turns(number: int) -> None:
        for _ in range(3):
            seen.append(number)
            await asyncio.sleep(0)

    seen: list[int] = []
    run(main, backend="asyncio", seed=None)
    assert seen == list(range(5)) * 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_task_takes_all_its_steps(backend: str) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(take_turns, number)

    async def take_turns(number: int) -> None:
        for turn in range(5):
            seen.append((number, turn))
            await anyio.lowlevel.checkpoint()

    seen: list[tuple[int, int]] = []
    run(main, backend=backend, seed=1)
    assert sorted(seen) == [(number, turn) for number in range(20) for turn in range(5)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_time_jumps_to_the_next_deadline(backend: str) -> None:
    async def main() -> list[float]:
        begin = anyio.current_time()
        await anyio.sleep(1e6)
        with anyio.move_on_after(0.25):
            await anyio.sleep_forever()
        return [anyio.current_time() - begin]

    assert run(main, backend=backend, seed=0) == [1e6 + 0.25]


def test_on_asyncio_a_loop_that_can_do_nothing_any_more_says_so() -> None:
    loop = ShuffledLoop(0, before_step=lambda: None)
    try:
        with pytest.raises(HangError):
            loop.run_until_complete(loop.create_future())
    finally:
        loop.close()


def test_what_asyncio_would_only_log_is_raised() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with pytest.raises(LoopError) as caught:
        run(main, backend="asyncio", seed=0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_raised_before_a_step_is_raised_in_the_end(backend: str) -> None:
    def before_step() -> None:
        raise ZeroDivisionError

    with pytest.raises(LoopError) as caught:
        run(anyio.lowlevel.checkpoint, backend=backend, seed=0, before_step=before_step)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
