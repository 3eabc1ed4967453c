"""Many callers at once, each started in the cheapest way that its back end has.

A joiner costs little more than the task that it is in, so that task must be the cheapest there is,
and the same for every rival and for the floor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import anyio
import trio
from anyio.lowlevel import checkpoint

Call = Callable[[str], Awaitable[Any]]
"""A call of what is measured, with a key."""

TURNS = 20
"""Turns of the event loop after which every caller waits, also of libraries that take many steps
before they do. Whether that was enough shows in the executions, which are counted."""


class Crowd(Protocol):
    """Callers. Leaving the block waits until all have ended, those that were cancelled too."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None: ...

    def start(self, func: Callable[..., Coroutine[Any, Any, None]], /, *args: Any) -> object:
        """Start a caller."""

    def start_cancellable(
        self, func: Callable[..., Coroutine[Any, Any, None]], /, *args: Any
    ) -> Callable[[], object]:
        """Start a caller; return what cancels it, in the native way of the back end."""


class AsyncioCrowd:
    """Callers in bare tasks."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            for task in self._tasks:
                if not task.done():  # waiting for each that is would cost as much as a joiner
                    await asyncio.wait((task,))
        except BaseException:
            await self._give_up()
            raise

    def start(self, func: Callable[..., Coroutine[Any, Any, None]], /, *args: Any) -> None:
        """Start a caller."""
        self._tasks.append(self._loop.create_task(func(*args)))

    def start_cancellable(
        self, func: Callable[..., Coroutine[Any, Any, None]], /, *args: Any
    ) -> Callable[[], object]:
        """Start a caller; return what cancels it."""
        self.start(func, *args)
        return self._tasks[-1].cancel

    async def _give_up(self) -> None:
        for task in self._tasks:
            task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait(self._tasks)


class TrioCrowd:
    """Callers in a nursery."""

    def __init__(self) -> None:
        self._manager = trio.open_nursery()

    async def __aenter__(self) -> Self:
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._manager.__aexit__(exc_type, exc_val, exc_tb)

    def start(self, func: Callable[..., Coroutine[Any, Any, None]], /, *args: Any) -> None:
        """Start a caller."""
        self._nursery.start_soon(func, *args)

    def start_cancellable(
        self, func: Callable[..., Coroutine[Any, Any, None]], /, *args: Any
    ) -> Callable[[], object]:
        """Start a caller; return what cancels it."""
        scope = trio.CancelScope()
        self._nursery.start_soon(_in_scope, scope, func, *args)
        return scope.cancel


async def _in_scope(
    scope: trio.CancelScope, func: Callable[..., Coroutine[Any, Any, None]], *args: Any
) -> None:
    with scope:
        await func(*args)


def crowd_of(backend: str) -> Crowd:
    """Return an empty crowd for the event loop that runs."""
    return TrioCrowd() if backend == "trio" else AsyncioCrowd()


async def all_wait(turns: int = TURNS) -> None:
    """Give every caller time to come to where it waits."""
    for _ in range(turns):
        await checkpoint()


async def caller(call: Call, key: str, ended: list[object]) -> None:
    """Make one call, which returns a value."""
    ended.append(await call(key))


class Times(NamedTuple):
    """How long the callers took to come and wait, and then to end, in seconds."""

    joining: float
    landing: float


async def time_together(
    backend: str,
    call: Call,
    keys: Sequence[str],
    gate: anyio.Event,
    *,
    one: Callable[[Call, str, list[object]], Coroutine[Any, Any, None]] = caller,
    turns: int = TURNS,
    waiting: Callable[[], object] = lambda: None,
) -> Times:
    """Make one call for each of the keys at once.

    When all of them wait the gate is opened, which is what the work waits for.

    :param one: what each caller does; it adds something to the list if it ends as it should
    :param turns: of the event loop, after which all of them wait
    :param waiting: is called then
    """
    ended: list[object] = []
    began = perf_counter()
    async with crowd_of(backend) as crowd:
        for key in keys:
            crowd.start(one, call, key, ended)
        await all_wait(turns)
        waiting()
        opened = perf_counter()
        gate.set()
    over = perf_counter()
    if len(ended) != len(keys):
        raise RuntimeError(f"{len(keys) - len(ended)} of {len(keys)} calls went wrong")
    return Times(opened - began, over - opened)


async def time_one_by_one(call: Call, keys: Sequence[str]) -> float:
    """Make one call for each of the keys, each after the end of the one before; return seconds."""
    began = perf_counter()
    for key in keys:
        await call(key)
    return perf_counter() - began
