"""Time that passes at once when every task waits, for event loops and for libraries beside them.

Trio has such a clock; here is one for asyncio. Of the libraries that are measured some read the
wall clock: theirs is replaced, too. What is counted in such a time is what would be counted in as
much time of a machine without any load; it is the same in each run.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, TypeVar, TypeVarTuple, Unpack
from unittest.mock import patch

import anyio
from trio.testing import MockClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

BACKENDS = frozenset({"asyncio", "trio"})
"""The clock of uvloop is its own."""
EPOCH = 1_000_000_000
"""The wall clock when an event loop starts."""
READERS_OF_TIME = (
    "cashews.backends.memory.time",
    "dogpile.cache.region.time",
    "dogpile.lock.time",
)
READERS_OF_DATETIME = (
    "cashews.decorators.cache.early.datetime",
    "cashews.decorators.cache.soft.datetime",
)


class _Selector(selectors.SelectSelector):
    """Never waits: if nothing has happened, the time is passed that it was to wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(None if timeout is None else 0)
        if not events and timeout:
            self.now += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio whose clock jumps to the next timer when every task waits."""

    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        """Return the virtual time."""
        return self.selector.now


def run_virtually(
    backend: str, func: Callable[[Unpack[Ts]], Coroutine[Any, Any, T]], *args: Unpack[Ts]
) -> T:
    """Run ``func(*args)`` on a back end, in virtual time; it starts at zero.

    Other threads are not waited for: wait for nothing but them when they are at rest.
    """
    options: dict[str, Any]
    if backend == "trio":
        clock = MockClock(autojump_threshold=0)
        options, now = {"clock": clock}, clock.current_time
    else:
        loop = VirtualLoop()
        options, now = {"loop_factory": lambda: loop}, loop.time
    with _wall_clocks(now):
        return anyio.run(func, *args, backend=backend, backend_options=options)


@contextmanager
def _wall_clocks(now: Callable[[], float]) -> Generator[None]:
    class VirtualDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return (datetime.fromtimestamp(EPOCH, UTC) + timedelta(seconds=now())).astimezone(tz)

    time = SimpleNamespace(time=lambda: EPOCH + now())
    with ExitStack() as replaced:
        for name in READERS_OF_TIME:
            replaced.enter_context(patch(name, time))
        for name in READERS_OF_DATETIME:
            replaced.enter_context(patch(name, VirtualDatetime))
        yield
