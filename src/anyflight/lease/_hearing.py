"""The one subscription of a lease: it wakes who waits, and tells of invalidations."""

from __future__ import annotations

__all__ = ("Hearing", "Listener", "News")

import math
import random
from collections.abc import Generator
from contextlib import contextmanager
from secrets import token_hex
from typing import Protocol
from weakref import WeakSet

from anyio import (
    Event,
    current_effective_deadline,
    fail_after,
    get_cancelled_exc_class,
    move_on_after,
    sleep,
)

from ._errors import LeaseConfigurationError
from ._requests import Requests
from ._settings import Settings
from ._statistics import Counters
from ._store import LeaseStore, Notice

#: The pause before the first attempt to have a lost subscription again; it doubles from there.
FIRST_PAUSE = 0.05


class Listener(Protocol):
    """Told, synchronously, what other processes have invalidated."""

    def invalidated(self, name: str, /) -> None:
        """Take note of an invalidation of the key with this name."""

    def interrupted(self) -> None:
        """Take note that invalidations may have gone unheard."""


class News:
    """What is heard of a key while somebody asks about it, or waits.

    :ivar event: set by the next message
    :ivar invalidated: whether the key has been invalidated meanwhile, as far as is known here
    """

    __slots__ = ("event", "invalidated")

    def __init__(self) -> None:
        self.event = Event()
        self.invalidated = False


class Hearing:
    """Keeps the subscription, and hands on what it brings.

    A message is only a hint: whoever waits asks again after a while by itself. So nothing depends
    on the subscription but how soon.
    """

    __slots__ = (
        "_counters",
        "_live",
        "_refusal",
        "_requests",
        "_settings",
        "_store",
        "_tried",
        "_waiting",
        "listeners",
        "origin",
    )

    def __init__(
        self, settings: Settings, store: LeaseStore, requests: Requests, counters: Counters
    ) -> None:
        self._settings = settings
        self._store = store
        self._requests = requests
        self._counters = counters
        #: Of each key, what those are told of who ask or wait.
        self._waiting: dict[str, set[News]] = {}
        #: They stay here as long as they live: for who is closed, what it hears is of no account.
        self.listeners: WeakSet[Listener] = WeakSet()
        #: Whose invalidations are told of without a message.
        self.origin = token_hex(8)
        self._live = False
        self._tried: Event
        #: Why the server will never do, if it has said so at the first attempt.
        self._refusal: LeaseConfigurationError | None = None

    @contextmanager
    def news(self, name: str) -> Generator[News]:
        """Give what is heard of a key from now on, until the block is left.

        To be had before the server is asked, so that what it says afterwards is not missed.
        """
        news = News()
        waiting = self._waiting.setdefault(name, set())
        waiting.add(news)
        try:
            yield news
        finally:
            waiting.discard(news)
            if not waiting:
                self._waiting.pop(name, None)

    def hear(self, notice: Notice) -> None:
        """Wake who waits for the key, and tell who wants to know of invalidations."""
        for news in self._waiting.get(notice.key, ()):
            news.event.set()
        if notice.invalidated and notice.invalidated != self.origin:
            self.tell(notice.key)

    def tell(self, name: str) -> None:
        """Tell the listeners of an invalidation, and those who ask or wait."""
        for news in self._waiting.get(name, ()):
            news.invalidated = True
        for listener in tuple(self.listeners):
            listener.invalidated(name)

    def prepare(self) -> None:
        """Get ready for `keep`, in this event loop."""
        self._tried = Event()
        self._refusal = None
        self._live = False

    async def first_attempt(self) -> None:
        """Wait until the subscription is live, or it is known that it cannot be had for now.

        :raises LeaseConfigurationError: if the server has said that it never will be
        """
        with move_on_after(self._settings.request_timeout):
            await self._tried.wait()
        if self._refusal is not None:
            raise self._refusal

    async def keep(self) -> None:
        """Have the subscription, and have it again when it is lost, until cancelled."""
        cancelled = get_cancelled_exc_class()
        pause = FIRST_PAUSE
        while True:
            try:
                try:
                    with fail_after(self._settings.request_timeout):
                        await self._store.check()
                    await self._store.listen(self.hear, self._on_live)
                except LeaseConfigurationError as exc:
                    if self._tried.is_set():
                        self._requests.failed(exc, str(exc))
                    else:
                        self._refusal = exc  # to be raised by the opening
                except Exception as exc:  # noqa: BLE001 - whatever it is, it is worth another attempt
                    if not self._live:
                        self._requests.failed(exc, str(exc))
                self._tried.set()
                if self._live:
                    self._live = False
                    pause = FIRST_PAUSE
                await sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - to spread attempts
                pause = min(2 * pause, self._settings.retry_interval)
            except cancelled:
                # None is let out: on asyncio, a stray one would end the whole group.
                if current_effective_deadline() == -math.inf:
                    return

    def _on_live(self) -> None:
        self._live = True
        self._requests.succeeded()
        if self._tried.is_set():  # so there was a time without
            self._counters.reconnects += 1
            for listener in tuple(self.listeners):
                listener.interrupted()
        self._tried.set()
