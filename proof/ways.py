"""The ways to be cancelled: by a scope of anyio, and by what each back end has of its own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import anyio
import trio

from proof.plans import Way

Func: TypeAlias = Callable[[], Awaitable[None]]


class Cancellable(Protocol):
    """Has a field for what cancels it."""

    cancel: Callable[[], object] | None


def is_cancelled_natively() -> bool:
    """Whether there is a `task.cancel()` that nobody has taken back; never on Trio."""
    return not on_trio() and _this_task().cancelling() > 0


def on_trio() -> bool:
    """Whether this runs on Trio."""
    return anyio.get_cancelled_exc_class() is trio.Cancelled


async def run_cancellably(way: Way, it: Cancellable, func: Func) -> None:
    """Run `func`; meanwhile ``it.cancel`` cancels it, and that cancellation ends here."""
    if way == "scope":
        await _in_scope(it, func)
    elif way == "native":
        await (_in_trio_scope if on_trio() else _in_asyncio_task)(it, func)
    else:
        await (_in_trio_timeout if on_trio() else _in_asyncio_timeout)(it, func)


async def _in_scope(it: Cancellable, func: Func) -> None:
    with anyio.CancelScope() as scope:
        it.cancel = scope.cancel
        await func()


async def _in_trio_scope(it: Cancellable, func: Func) -> None:
    with trio.CancelScope() as scope:
        it.cancel = scope.cancel
        await func()


async def _in_trio_timeout(it: Cancellable, func: Func) -> None:
    with trio.move_on_after(math.inf) as scope:
        it.cancel = lambda: setattr(scope, "deadline", trio.current_time())
        await func()


async def _in_asyncio_task(it: Cancellable, func: Func) -> None:
    async def main() -> None:
        it.cancel = _this_task().cancel  # not later: an eager task is under way when it is made
        await func()

    task = asyncio.create_task(main())
    it.cancel = task.cancel
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled() or _this_task().cancelling():
            raise  # this one was cancelled, not that one alone


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def _in_asyncio_timeout(it: Cancellable, func: Func) -> None:
    try:
        async with asyncio.timeout(None) as timeout:
            it.cancel = lambda: _expire(timeout)
            await func()
    except TimeoutError:
        if not timeout.expired():
            raise


def _expire(timeout: asyncio.Timeout) -> None:
    if not timeout.expired():
        timeout.reschedule(asyncio.get_running_loop().time())


async def foreign_cancellation() -> BaseException:
    """Return a cancellation that was meant for something else, which is over."""
    if not on_trio():
        return asyncio.CancelledError("of a future that somebody else has cancelled")
    # Nobody but Trio can make one, so it is caught where it belongs, and carried out of there.
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as exc:
            return exc
    raise AssertionError("a cancelled scope lets nobody pass a checkpoint")
