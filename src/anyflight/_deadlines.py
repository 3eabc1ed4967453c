"""Deadlines of many things, which all have the same number of seconds."""

from __future__ import annotations

__all__ = ("Deadlines",)

import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from anyio import (
    TaskHandle,
    current_effective_deadline,
    current_time,
    get_cancelled_exc_class,
    sleep_until,
)

from ._owner import LOOK_AGAIN, WATCHED, Owner, Phase

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Calls ``expire`` for each flight that has not landed in time, or whatever else is due.

    One task of the owner keeps all deadlines: since everything has the same time, they come in the
    order of `add`, and the task always sleeps until the first. It ends when it wakes and there is
    none left, and is cancelled when the owner only waits for it.

    :param timeout: seconds from `add` to the deadline
    :param expire: is to `discard` what it is called for, or to `postpone` it
    """

    __slots__ = ("_due", "_expire", "_keeper", "_owner", "_timeout")

    def __init__(self, owner: Owner, timeout: float, expire: Callable[[T], None]) -> None:
        self._owner = owner
        self._timeout = timeout
        self._expire = expire
        #: What has been added and not discarded, in the order of `add`.
        self._due: dict[T, float] = {}
        self._keeper: TaskHandle[None] | None = None

    def add(self, due: T) -> None:
        """Let its time begin now."""
        self._due.setdefault(due, current_time() + self._timeout)
        if self._keeper is None:
            self._keeper = self._owner.start(
                self._keep(), name=f"{self._owner.label} keeper of deadlines"
            )

    def postpone(self, due: T) -> None:
        """Let its time begin anew."""
        del self._due[due]
        self._due[due] = current_time() + self._timeout

    def discard(self, due: T) -> None:
        """Forget about what needs no deadline any more."""
        self._due.pop(due, None)
        self.end_if_idle()

    def end_if_idle(self) -> None:
        """Let the owner close: with nothing in the air there is nothing to keep."""
        if not self._due and self._keeper is not None and self._owner.phase is not Phase.OPEN:
            self._keeper.cancel()
            self._keeper = None  # what is added now, in spite of that, needs one of its own

    def clear(self) -> None:
        """Forget everything: the owner has ended."""
        self._due.clear()
        if self._keeper is not None:
            self._keeper.coro.close()  # it may never have run, see `Leaders._clear`
            self._keeper = None

    async def _keep(self) -> None:
        cancelled = get_cancelled_exc_class()
        watched = -math.inf
        while self._due:
            try:
                watching = current_time() < watched
                latest = current_time() + LOOK_AGAIN if watching else math.inf
                # No name for anything in here: this frame may live for hours after its end.
                await sleep_until(min(next(iter(self._due.values())), latest))
                if watching and self._owner.is_abandoned():
                    break
            except cancelled:
                # None is let out: on asyncio, a stray one would end the whole group.
                # But if the owner ends as well, and nobody closes it, all tasks are cancelled, and
                # the end of the event loop waits for this.
                if current_effective_deadline() == -math.inf:
                    break
                watched = current_time() + WATCHED
            else:
                self._expire_due()
        if not self._due:
            self._keeper = None

    def _expire_due(self) -> None:
        now = current_time()
        while self._due:
            due, deadline = next(iter(self._due.items()))
            if deadline > now:
                break
            self._expire(due)
