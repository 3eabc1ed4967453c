"""The work of a cache's flights across processes: look on the server, else load under a lease."""

from __future__ import annotations

__all__ = ("Sharing",)

from collections.abc import Hashable
from types import TracebackType
from typing import Any

from anyio.lowlevel import checkpoint_if_cancelled

from anyflight._errors import MissingKeyError, shortened
from anyflight.lease import RemoteFlightError

from ._first_tier import FirstTier
from ._generations import Tags, Ticket
from ._hearing import Hearing
from ._loading import Loading, Source, called
from ._shared_tier import ALLOWANCE, SharedTier
from ._store import StoredValue

#: What the server knows the news by that there is no value.
MISSING = f"{MissingKeyError.__module__.partition('.')[0]}.{MissingKeyError.__qualname__}"


class Run:
    """The work of one flight, if it is run here; perhaps more than once, if a lease is lost."""

    __slots__ = (
        "_first",
        "_hearing",
        "_key",
        "_source",
        "_tier",
        "error",
        "stored_for",
        "tags",
        "ticket",
        "traceback",
    )

    def __init__(
        self, key: Hashable, source: Source, first: FirstTier, tier: SharedTier, hearing: Hearing
    ) -> None:
        self._key = key
        self._source = source
        self._first = first
        self._tier = tier
        self._hearing = hearing
        self.tags: Tags = source[2]
        #: The right to fill memory with what the last run brings.
        self.ticket: Ticket | None = None
        #: What the last run raised, if that is what comes of it; and its traceback, from here on.
        self.error: Exception | None = None
        self.traceback: TracebackType | None = None
        #: For how many seconds the server is to keep what the last run brings.
        self.stored_for = 0.0

    async def work(self) -> StoredValue[Any]:
        """Call the function, and return its value with what is to be known of it.

        Its tags are to find it already while it is being loaded, and as long as it is kept.
        """
        first, key = self._first, self._key
        self.end()
        keep, asked = first.lifetimes.longest_keep, first.now()
        found = not self.tags or await self._tier.tag(key, self.tags, keep)
        self._hearing.know(key)  # it need not be known any more, if it was invalidated
        began = first.now()
        self.ticket = first.generations.take(key, self.tags, began)
        try:
            value = await called(self._source)
        except Exception as exc:
            self.error, self.traceback = exc, exc.__traceback__
            raise
        ended = first.now()
        stored = first.new_value(value, ended - began, self.tags)
        if self.tags and ended - asked > ALLOWANCE / 2:
            found = await self._tier.tag(key, self.tags, keep) and found
            if first.now() - asked >= keep + ALLOWANCE:  # so for a while they did not find it
                self.end()
                found = False
        self.stored_for = first.lifetimes.keep(stored) if found else 0
        return stored

    def keep(self, _: StoredValue[Any]) -> float:
        """Return for how many seconds the server is to keep the value.

        Not at all, if its tags do not find it there: all others would have it from there, whatever
        was invalidated. Here it may be kept, as in a process that is cut off.
        """
        return self.stored_for

    def end(self) -> None:
        """Give back the ticket."""
        if self.ticket is not None:
            self._first.generations.give_back(self.ticket)
            self.ticket = None

    def close(self) -> None:
        """Do so, and let go what an error that is kept shall not keep: it leads to this."""
        self.end()
        del self._source, self.error, self.traceback


class Sharing(Loading):
    """Runs in leaders, as `Loading`, which is without processes.

    :param label: what to call the cache in messages
    """

    __slots__ = ("_hearing", "_tier")

    def __init__(self, first: FirstTier, tier: SharedTier, hearing: Hearing, label: str) -> None:
        super().__init__(first, None, label)
        self._tier = tier
        self._hearing = hearing

    async def _get(self, key: Hashable, source: Source, draw: float | None) -> Any:
        first = self._first
        self._hearing.know(key)
        # For what others have loaded; what is loaded here has a ticket of its own.
        reading = first.generations.take(key, None, first.now())
        run = Run(key, source, first, self._tier, self._hearing)
        try:
            # If it may not, nothing will do that was stored before, nor what has begun.
            fresh = not self._tier.may_be_read(key)
            found = 0 if fresh else await self._read(key, reading, draw)
            if isinstance(found, StoredValue):
                return found.value
            fetched = await self._tier.load(key, run.work, run.keep, since=found, fresh=fresh)
            stored: StoredValue[Any] = fetched.value
            if fetched.age is not None:
                first.counters.store_hits += 1
                first.adopt(reading, stored)
            elif run.ticket is not None and not fetched.fenced:
                first.fill(run.ticket, stored)
            else:
                first.counters.kept_out += 1
        except Exception as exc:  # noqa: BLE001 - it is raised, or what it means
            error = self._failed(run, reading, exc)
            try:
                if error is exc:
                    raise
                raise error from None
            finally:
                del error  # whose traceback leads here
        else:
            return stored.value
        finally:
            run.close()
            first.generations.give_back(reading)
            del source, run  # as in `Loading.load`

    async def _read(
        self, key: Hashable, reading: Ticket, draw: float | None
    ) -> StoredValue[Any] | int:
        """Return what is stored if it will do, else the lowest epoch whose outcome will.

        0 if nobody knows what is stored: then only the outcome of one that runs will do.
        """
        stored = await self._tier.read(key)
        await checkpoint_if_cancelled()  # as in `Loading.find`
        if stored is None:
            return 0
        if stored.value is None or not self._will_do(reading, stored.value, draw):
            return stored.epoch + 1
        self._first.counters.store_hits += 1
        return stored.value

    def _failed(self, run: Run, reading: Ticket, error: Exception) -> Exception:
        """Keep an error of the work, wherever that ran, if such are kept; return what to raise."""
        first = self._first
        if error is run.error and run.ticket is not None:
            traceback = error.__traceback__
            BaseException.with_traceback(error, run.traceback)
            try:
                first.fail(run.ticket, error, run.tags)
            finally:
                BaseException.with_traceback(error, traceback)
        elif isinstance(error, RemoteFlightError):  # of the lease: one of the work is the above
            # Where it has been here tells nobody anything.
            BaseException.with_traceback(error, None)
            if error.type_name == MISSING:
                error = _missing(reading.key)
            first.fail(reading, error, run.tags)
        return error

    async def write(self, key: Hashable, stored: StoredValue[Any]) -> None:
        """Fill a key with a value that a user has set: on the server, then in memory.

        What has been loaded meanwhile may have been stored before or after that, and overtaken: so
        it is not kept here, and is read from the server if it is there.
        """
        first, tier = self._first, self._tier
        keep = first.lifetimes.keep(stored)
        self._hearing.know(key)
        ticket = first.generations.take(key, stored.tags, first.now())
        try:
            with tier.unread(key):
                await tier.store(key, stored, keep, by=self._hearing)
            first.replace(ticket, stored)
        finally:
            first.generations.give_back(ticket)


def _missing(key: Hashable) -> MissingKeyError:
    return MissingKeyError(f"there is no value for key {shortened(key)}", key)
