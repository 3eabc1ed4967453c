"""Law 15: ``execute`` yields to the scheduler and notices cancellation on every path."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
import trio.testing

from anyflight import Coalescer
from tests.support import Work, settle, start

pytestmark = pytest.mark.anyio


async def at_once(value: int = 1) -> int:
    """Return without a checkpoint: what yields must be the coalescer itself."""
    return value


async def fail_at_once() -> int:
    raise ValueError


async def assert_yields(call: Callable[[], Awaitable[Any]], backend: str) -> None:
    """Check that other tasks get a turn while ``call`` is awaited, whether it fails or not."""
    with trio.testing.assert_checkpoints() if backend == "trio" else assert_turn():
        try:
            await call()
        except (ValueError, anyio.ClosedResourceError):
            pass


@contextmanager
def assert_turn() -> Iterator[None]:
    """The same on asyncio, where what is ready takes turns in order."""
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    yield
    assert turns == [1]


async def test_law_15_a_call_that_starts_a_flight_yields(anyio_backend_name: str) -> None:
    async with Coalescer[int, int]() as coalescer:
        await assert_yields(lambda: coalescer.execute(1, at_once), anyio_backend_name)
        await assert_yields(lambda: coalescer.execute(1, at_once, timeout=60), anyio_backend_name)
        await assert_yields(lambda: coalescer.execute(1, at_once, fresh=True), anyio_backend_name)
        await assert_yields(lambda: coalescer.execute(1, fail_at_once), anyio_backend_name)


async def test_law_15_a_call_that_is_refused_yields(anyio_backend_name: str) -> None:
    coalescer = Coalescer[int, int]()
    async with coalescer:
        pass
    await assert_yields(lambda: coalescer.execute(1, at_once), anyio_backend_name)


async def test_law_15_every_path_notices_cancellation() -> None:
    coalescer = Coalescer[int, int]()
    closed = Coalescer[int, int]()
    async with closed:
        pass
    work = Work()
    async with coalescer, anyio.create_task_group() as tasks:
        await start(tasks, coalescer, "running", work, 1)
        paths: dict[str, Callable[[], Awaitable[Any]]] = {
            "start": lambda: coalescer.execute(1, at_once),
            "join": lambda: coalescer.execute("running", at_once),  # type: ignore[arg-type]
            "queue": lambda: coalescer.execute("running", at_once, fresh=True),  # type: ignore[arg-type]
            "timeout": lambda: coalescer.execute(1, at_once, timeout=60),
            "timeout of zero": lambda: coalescer.execute(1, at_once, timeout=0, fallback=at_once),
            "refused": lambda: closed.execute(1, at_once),
        }
        for name, path in paths.items():
            with anyio.CancelScope() as scope:
                scope.cancel()
                await path()
                if name == "timeout of zero":
                    # Only the fallback ran here, and it has no checkpoint of its own.
                    await anyio.sleep(0)
            assert scope.cancelled_caught, name
        await settle()
        assert coalescer.statistics().waiting == 1
        work.go.set()
