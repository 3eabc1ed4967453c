"""The one subscription of a lease: it wakes who waits, and tells of invalidations."""

from __future__ import annotations

__all__ = ("Hearing", "Listener", "News")

import logging
import math
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from secrets import token_hex
from typing import Protocol, cast
from weakref import WeakSet

from anyio import (
    CancelScope,
    Event,
    current_effective_deadline,
    current_time,
    fail_after,
    get_cancelled_exc_class,
    move_on_after,
    sleep,
)

from anyflight._owner import LOOK_AGAIN, WATCHED

from ._errors import LeaseConfigurationError
from ._requests import Requests
from ._settings import Settings
from ._statistics import Counters
from ._store import LeaseStore, Notice

logger = logging.getLogger("anyflight")

#: The pause before the first attempt to have a lost subscription again; it doubles from there.
FIRST_PAUSE = 0.05


class Listener(Protocol):
    """Told, synchronously, what other processes have invalidated."""

    def invalidated(self, name: str, /) -> None:
        """Take note of an invalidation of the key with this name."""

    def interrupted(self) -> None:
        """Take note that any key may have been invalidated."""


class News:
    """What is heard of a key while somebody asks about it, or waits.

    :ivar event: set by the next message
    :ivar invalidated: whether the key has been invalidated meanwhile, or may have been
    :ivar named: whether that is known of this very key, and not of all for want of a subscription
    """

    __slots__ = ("event", "invalidated", "named")

    def __init__(self) -> None:
        self.event = Event()
        self.invalidated = False
        self.named = False


class Hearing:
    """Keeps the subscription, and hands on what it brings.

    A message is only a hint: whoever waits asks again after a while by itself. So nothing depends
    on the subscription but how soon.

    :param label: what to call the lease in messages
    """

    __slots__ = (
        "_counters",
        "_label",
        "_live_since",
        "_refusal",
        "_refusals",
        "_requests",
        "_settings",
        "_store",
        "_tried",
        "_waiting",
        "listeners",
        "origin",
    )

    def __init__(
        self,
        settings: Settings,
        label: str,
        store: LeaseStore,
        requests: Requests,
        counters: Counters,
    ) -> None:
        self._settings = settings
        self._label = label
        self._store = store
        self._requests = requests
        self._counters = counters
        #: Of each key, what those are told of who ask or wait.
        self._waiting: dict[str, set[News]] = {}
        #: They stay here as long as they live: for who is closed, what it hears is of no account.
        self.listeners: WeakSet[Listener] = WeakSet()
        #: Whose invalidations are told of without a message. Another each time that this is opened:
        #: by several processes, if they were forked when it had been made.
        self.origin: str = ""
        #: Since when there is a subscription, None if there is none.
        self._live_since: float | None = None
        #: How often one was refused by a server that answers, since there was one.
        self._refusals = 0
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
        if notice.key is None:
            self.wake_all()
        else:
            for news in self._waiting.get(notice.key, ()):
                news.event.set()
        if notice.invalidated and notice.invalidated != self.origin:
            self.tell(notice.key)

    def wake_all(self) -> None:
        """Wake whoever waits for whatever key."""
        for waiting in self._waiting.values():
            for news in waiting:
                news.event.set()

    def tell(self, name: str | None, *, but: Listener | None = None) -> None:
        """Tell the listeners of an invalidation, and those who ask or wait.

        :param name: None: of all keys
        :param but: the listener that knows already
        """
        for waiting in self._waiting.values() if name is None else [self._waiting.get(name, ())]:
            for news in waiting:
                news.invalidated = True
                news.named = news.named or name is not None
        for listener in tuple(self.listeners):
            if name is None:
                listener.interrupted()
            elif listener is not but:
                listener.invalidated(name)

    def prepare(self) -> None:
        """Get ready for `keep`, in this event loop."""
        self.origin = token_hex(8)
        self._tried = Event()
        self._refusal = None
        self._refusals = 0
        self._requests.prepare()

    async def first_attempt(self) -> None:
        """Wait until the subscription is live, or it is known that it cannot be had for now.

        :raises LeaseConfigurationError: if the server has said that it never will be
        """
        with move_on_after(self._settings.request_timeout):
            await self._tried.wait()
        self._tried.set()  # if it is live later, there was a time without
        if self._refusal is not None:
            raise self._refusal

    async def keep(self, is_abandoned: Callable[[], bool]) -> None:
        """Have the subscription, and have it again when it is lost, until cancelled.

        :param is_abandoned: whether nobody is left who would cancel this
        """
        cancelled = get_cancelled_exc_class()
        pause, struck = FIRST_PAUSE, False
        while True:
            try:
                self._live_since = None
                if struck and await self._ends(is_abandoned):
                    return
                struck = False
                await self._subscribe()
                self._tried.set()
                if self._has_lasted():
                    pause = FIRST_PAUSE
                await sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - to spread attempts
                pause = min(2 * pause, self._settings.retry_interval)
            except cancelled:
                # None is let out: on asyncio, a stray one would end the whole group.
                # But if the lease was never closed, it is the event loop's end that waits for this.
                if current_effective_deadline() == -math.inf:
                    return
                struck = True

    async def _ends(self, is_abandoned: Callable[[], bool]) -> bool:
        """Whether who would cancel this has ended, or does so soon: all may be cancelled now."""
        end = current_time() + WATCHED
        while not is_abandoned():
            if current_time() >= end:
                return False
            await sleep(LOOK_AGAIN)
        return True

    async def _subscribe(self) -> None:
        """Hear until the subscription is lost. Whatever is raised, it is worth another attempt."""
        answered = False
        try:
            with fail_after(self._settings.request_timeout):
                await self._store.check()
            answered = True
            self._requests.succeeded()
            with fail_after(self._settings.request_timeout) as until_live:
                await self._store.listen(self.hear, partial(self._on_live, until_live))
        except LeaseConfigurationError as exc:
            if self._tried.is_set():
                self._requests.failed(exc, str(exc))
            else:
                self._refusal = exc  # to be raised by the opening
        except BaseException as exc:
            error = _without_cancellation(exc)
            if error is None:
                raise
            if not answered:
                self._requests.failed(error, str(error))
            elif self._live_since is None:
                self._refused(error)
            del error  # whose traceback leads to this frame

    def _refused(self, error: Exception) -> None:
        """Take note that a server that answers takes no subscription; warn of the second time.

        By then it has not just gone down in between.
        """
        self._counters.failures += 1
        self._refusals += 1
        if self._refusals != 2:  # noqa: PLR2004 - as said above
            return
        only = _only(error)
        detail = str(only)
        logger.warning(
            "%s: no subscription can be had (%s%s); until one can, calls that wait ask again and "
            "again, and invalidations by other processes go unheard",
            self._label,
            type(only).__qualname__,
            detail and f": {detail}",
        )

    def _has_lasted(self) -> bool:
        """Whether the subscription was of some use: else attempts would follow without a pause."""
        since = self._live_since
        return since is not None and current_time() - since >= self._settings.retry_interval

    def _on_live(self, until_live: CancelScope) -> None:
        until_live.deadline = math.inf
        self._live_since = current_time()
        self._refusals = 0
        if self._tried.is_set():  # so there was a time without
            self._counters.reconnects += 1
            self.tell(None)  # for any key may have been invalidated
        self._tried.set()


def _without_cancellation(exc: BaseException) -> Exception | None:
    """Return what of it is an error; None if nothing is, or if there is more than that.

    On Trio an error may come in one group with a cancellation, which comes again at the next
    checkpoint.
    """
    rest: BaseException | None = exc
    if isinstance(exc, BaseExceptionGroup):
        _, rest = cast("BaseExceptionGroup[BaseException]", exc).split(get_cancelled_exc_class())
    return rest if isinstance(rest, Exception) else None


def _only(error: Exception) -> Exception:
    """Return the error that is alone in a group: that there is one is no concern of the user's."""
    inner = cast("tuple[Exception, ...]", getattr(error, "exceptions", ()))
    return _only(inner[0]) if len(inner) == 1 else error
