"""Asking the server: for a bounded time, and not again and again while it does not answer."""

from __future__ import annotations

__all__ = ("Requests", "Unreachable")

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from anyio import Semaphore, current_time, fail_after

from anyflight._first_warning import FirstWarning
from anyflight._telling import Telling

from ._errors import RequestRefusedError
from ._events import ServerFound, ServerLost
from ._settings import Settings
from ._statistics import Counters

T = TypeVar("T")

logger = logging.getLogger("anyflight")

#: How many requests of a kind are made at once. Others wait for their turn, which is not counted
#: as time that the server takes.
AT_ONCE: Final = 64
#: How many seconds pass at least between two warnings of outages.
BETWEEN_WARNINGS: Final = 60


class Unreachable(Exception):  # noqa: N818 - a state rather than a fault, and never shown to users
    """The server could not be asked, or did not answer in time."""


class Requests:
    """Makes requests, and knows whether it is of any use to make one.

    The server is REACHABLE, or LOST from the first request that fails to the first that does not.
    While it is LOST, one request every ``retry_interval`` seconds tries it.

    :param label: what to call the lease in messages
    """

    __slots__ = (
        "_counters",
        "_label",
        "_lost_at",
        "_next_try",
        "_refusal",
        "_settings",
        "_telling",
        "_warned",
        "_warned_at",
        "beginning",
        "ending",
    )

    def __init__(
        self, settings: Settings, label: str, counters: Counters, telling: Telling
    ) -> None:
        self._settings = settings
        self._label = label
        self._counters = counters
        self._telling = telling
        #: When the server was lost, None while it is reachable; and when it is to be tried again.
        self._lost_at: float | None = None
        self._next_try = 0.0
        #: Whether this outage was warned of, and when one was last.
        self._warned = False
        self._warned_at = -math.inf
        self._refusal = FirstWarning()
        #: Turns to be waited for before a request, so that what is waited for after it is the
        #: server, and not this process's own requests. Who ends a lease does not wait for those
        #: who want one.
        self.beginning: Semaphore
        self.ending: Semaphore

    def prepare(self) -> None:
        """Know nothing of the server yet; what was known is by the clock of another event loop."""
        self._lost_at = None
        self._warned_at = -math.inf
        self.beginning = Semaphore(AT_ONCE, fast_acquire=True)
        self.ending = Semaphore(AT_ONCE, fast_acquire=True)

    @property
    def reachable(self) -> bool:
        """Whether the server is not LOST."""
        return self._lost_at is None

    def take_try(self) -> bool:
        """Return whether a new call may ask; if the server is lost, only one now and then may.

        What has been won with the server's help is brought to its end there in any case.
        """
        if self._lost_at is None:
            return True
        now = current_time()
        if now < self._next_try:
            return False
        self._next_try = now + self._settings.retry_interval
        return True

    async def ask_in_turn(self, turns: Semaphore, request: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to a request that is made when its turn has come.

        If the server has been lost by then, it is not made: else each of those that wait would find
        out anew that a server which hangs does not answer.

        :raises Unreachable: if there is no answer in time, or no request was made
        """
        waits = not turns.value
        async with turns:
            if waits and not self.reachable:
                raise Unreachable
            return await self.ask(request())

    async def ask(self, request: Awaitable[T]) -> T:
        """Return the answer to a request.

        It is shielded: one that has been sent may have been obeyed, and whoever is cancelled in
        the meantime has to know, so as to take it back.

        :raises Unreachable: if there is none in time
        """
        self._counters.requests += 1
        try:
            with fail_after(self._settings.request_timeout, shield=True):
                answer = await request
        except RequestRefusedError as exc:  # of others it says nothing
            self._counters.failures += 1
            self._refusal.give(
                "%s: the server refused a request (%s), and the call went on without it",
                self._label,
                exc,
            )
            raise Unreachable from exc
        except Exception as exc:
            self.failed(exc)
            raise Unreachable from exc
        self.succeeded()
        return answer

    def failed(self, error: Exception, detail: str = "") -> None:
        """Take note that the server could not be asked, and warn of an outage.

        A server that comes and goes is warned of now and then, so there may be none at first.

        :param detail: what may be logged beside the error's class. Of a request that is nothing:
            what a server says of one may quote its arguments, a value among them
        """
        self._counters.failures += 1
        now = current_time()
        self._next_try = now + self._settings.retry_interval
        begins = self._lost_at is None
        if begins:
            self._lost_at = now
            self._counters.outages += 1
            self._warned = False
        if not self._warned:
            self._warned = now - self._warned_at >= BETWEEN_WARNINGS
            if self._warned:
                self._warned_at = now
            if begins or self._warned:
                self._tell_of(error, detail)
        if begins:
            self._telling.tell("server_lost", ServerLost(self._settings.name, error))

    def _tell_of(self, error: Exception, detail: str) -> None:
        logger.log(
            logging.WARNING if self._warned else logging.DEBUG,
            "%s: the server cannot be asked (%s%s); calls run without it until it answers",
            self._label,
            type(error).__qualname__,
            detail and f": {detail}",
        )

    def succeeded(self) -> None:
        """Take note that the server answers."""
        if self._lost_at is None:
            return
        outage = current_time() - self._lost_at
        self._lost_at = None
        level = logging.INFO if self._warned else logging.DEBUG
        logger.log(level, "%s: the server answers again, after %.1f seconds", self._label, outage)
        self._telling.tell("server_found", ServerFound(self._settings.name, outage))
