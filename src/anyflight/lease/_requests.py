"""Asking the server: for a bounded time, and not again and again while it does not answer."""

from __future__ import annotations

__all__ = ("Requests", "Unreachable")

import logging
from collections.abc import Awaitable
from typing import TypeVar

from anyio import current_time, fail_after

from anyflight._telling import Telling

from ._events import ServerFound, ServerLost
from ._settings import Settings
from ._statistics import Counters

T = TypeVar("T")

logger = logging.getLogger("anyflight")


class Unreachable(Exception):  # noqa: N818 - a state rather than a fault, and never shown to users
    """The server could not be asked, or did not answer in time."""


class Requests:
    """Makes requests, and knows whether it is of any use to make one.

    The server is REACHABLE, or LOST from the first request that fails to the first that does not.
    While it is LOST, one request every ``retry_interval`` seconds tries it.

    :param label: what to call the lease in messages
    """

    __slots__ = ("_counters", "_label", "_lost_at", "_next_try", "_settings", "_telling")

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

    def prepare(self) -> None:
        """Know nothing of the server yet; what was known is by the clock of another event loop."""
        self._lost_at = None

    @property
    def reachable(self) -> bool:
        """Whether the server is not LOST."""
        return self._lost_at is None

    def may_begin(self) -> bool:
        """Whether a new call may ask; if the server is lost, only one now and then may.

        What has been won with the server's help is brought to its end there in any case.
        """
        if self._lost_at is None:
            return True
        now = current_time()
        if now < self._next_try:
            return False
        self._next_try = now + self._settings.retry_interval
        return True

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
        except Exception as exc:
            self.failed(exc)
            raise Unreachable from exc
        self.succeeded()
        return answer

    def failed(self, error: Exception, detail: str = "") -> None:
        """Take note that the server could not be asked; warn at the beginning of an outage.

        :param detail: what may be logged beside the error's class. Of a request that is nothing:
            what a server says of one may quote its arguments, a value among them
        """
        self._counters.failures += 1
        now = current_time()
        self._next_try = now + self._settings.retry_interval
        if self._lost_at is not None:
            return
        self._lost_at = now
        self._counters.outages += 1
        logger.warning(
            "%s: the server cannot be asked (%s%s); calls run without it until it answers",
            self._label,
            type(error).__qualname__,
            detail and f": {detail}",
        )
        self._telling.tell("server_lost", ServerLost(self._settings.name, error))

    def succeeded(self) -> None:
        """Take note that the server answers."""
        if self._lost_at is None:
            return
        outage = current_time() - self._lost_at
        self._lost_at = None
        logger.info("%s: the server answers again, after %.1f seconds", self._label, outage)
        self._telling.tell("server_found", ServerFound(self._settings.name, outage))
