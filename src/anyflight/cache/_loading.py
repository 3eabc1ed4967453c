"""The work of a cache's flights: look into the store, else load; then fill what may be filled."""

from __future__ import annotations

__all__ = ("Loading", "Source", "called")

from collections.abc import Awaitable, Callable, Hashable
from inspect import isawaitable
from typing import Any, TypeAlias

from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from anyflight._checks import not_awaitable
from anyflight._errors import MissingKeyError, shortened
from anyflight._first_warning import FirstWarning

from ._first_tier import FirstTier
from ._freshness import Entry, Freshness, freshness
from ._generations import Ticket
from ._second_tier import SecondTier
from ._store import StoredValue

#: A user's function, its arguments, and the tags that its value is to have.
Source: TypeAlias = tuple[Callable[..., Awaitable[Any]], tuple[Any, ...], frozenset[str]]


class Loading:
    """Runs in leaders. What it changes, it changes in the first tier, without waiting.

    :param label: what to call the cache in messages
    """

    __slots__ = ("_first", "_label", "_second", "_warning")

    def __init__(self, first: FirstTier, second: SecondTier | None, label: str) -> None:
        self._first = first
        self._second = second
        self._label = label
        self._warning = FirstWarning()

    async def load(self, key: Hashable, source: Source) -> Any:
        """Return the value for the calls of a key, from the store or from its source."""
        try:
            return await self._get(key, source, None)
        finally:
            # From Python 3.12 on an error leads to this frame (`f_back` of those in its traceback),
            # and an error that is kept shall not keep what is not its own.
            del source

    async def refresh(self, key: Hashable, source: Source, entry: Entry, draw: float) -> Any:
        """Fetch the next value while the present one is being served.

        :param entry: the present one
        :param draw: what made an early refresh of it due. A stored value will do if by that it is
            not due: for then it is another, newer one
        """
        try:
            return await self._get(key, source, draw)
        except BaseException as exc:
            self._refresh_failed(key, entry, exc)
            raise
        finally:
            del source, entry  # as in `load`

    async def _get(self, key: Hashable, source: Source, draw: float | None) -> Any:
        """Return the value, from wherever it is; with ``draw`` no old one that is stored."""
        try:
            stored = await self.find(key, draw)
            if stored is not None:
                return stored.value
            return await self._load(key, source)
        finally:
            del source  # as in `load`

    async def find(self, key: Hashable, draw: float | None = None) -> StoredValue[Any] | None:
        """Return what is stored if it will do, and keep it; with ``draw`` only if it is fresh."""
        first, second = self._first, self._second
        if second is None or not second.may_be_read(key):
            return None
        ticket = first.generations.take(key, None, first.now())
        try:
            stored = await second.read(key)
            # On asyncio a cancellation that comes with the answer is noticed at the next wait: for
            # whom everybody has left, the function is not to be called.
            await checkpoint_if_cancelled()
            if stored is None or not self._will_do(ticket, stored, draw):
                return None
        finally:
            first.generations.give_back(ticket)
        first.counters.store_hits += 1
        return stored

    def _will_do(self, ticket: Ticket, stored: StoredValue[Any], draw: float | None) -> bool:
        """Whether a stored value may be served; keep it, if that is so or may be."""
        first = self._first
        now = first.now()
        found = freshness(first.lifetimes.entry(stored, now), now, 1 if draw is None else draw)
        if draw is not None and found is not Freshness.FRESH:
            return False
        first.adopt(ticket, stored)
        # If it is too old, it is kept for the case that the work fails.
        return found in {Freshness.FRESH, Freshness.STALE}

    async def _load(self, key: Hashable, source: Source) -> Any:
        tags = source[2]
        first = self._first
        began = first.now()
        ticket = first.generations.take(key, tags, began)
        try:
            try:
                value = await called(source)
            except Exception as exc:
                first.fail(ticket, exc, tags)
                raise
            finally:
                del source  # as in `load`
            stored = first.new_value(value, first.now() - began, tags)
            if first.fill(ticket, stored) and self._second is not None:
                await self.store(self._second, ticket, stored)
        finally:
            first.generations.give_back(ticket)
        return value

    async def write(self, key: Hashable, stored: StoredValue[Any]) -> None:
        """Fill a key with a value that a user has set; at once in memory, then in the store."""
        first, second = self._first, self._second
        ticket = first.generations.take(key, stored.tags, first.now())
        first.fill(ticket, stored)
        if second is None:
            first.generations.give_back(ticket)
            await checkpoint()
            return
        with second.unread(key):
            try:
                await second.store.set(key, stored, keep=first.lifetimes.keep(stored))
            finally:
                if not first.generations.give_back(ticket):  # it was invalidated under way
                    await second.take_back(key)

    async def store(self, second: SecondTier, ticket: Ticket, stored: StoredValue[Any]) -> None:
        """Let the second tier have what the first has, and give the ticket back.

        No flight reads what is stored meanwhile: it may be what is about to be taken back.
        """
        with second.unread(ticket.key):
            try:
                await second.write(ticket.key, stored, self._first.lifetimes.keep(stored))
            finally:
                if not self._first.generations.give_back(ticket):  # invalidated under way
                    await second.take_back(ticket.key)

    def _refresh_failed(self, key: Hashable, entry: Entry, error: BaseException) -> None:
        """Count it, leave the value in peace for a while, and warn of the first."""
        self._first.counters.refresh_failures += 1
        self._first.pause(key, entry)
        if not isinstance(error, Exception) or isinstance(error, MissingKeyError):
            return  # it was cancelled; or it is well, and there is no value any more
        self._warning.give(
            "%s: %s could not be refreshed, its value is served for as long as it may be",
            self._label,
            shortened(key),
            exc_info=error,
        )


async def called(source: Source) -> Any:
    """Call the function, and return what it returns."""
    func, args, _ = source
    result: Any = None
    try:
        result = func(*args)
        if not isawaitable(result):
            raise not_awaitable(func, result)
        return await result
    finally:
        del source, func, args  # as in `Loading.load`
        result = None
