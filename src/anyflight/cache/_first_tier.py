"""The first tier: memory, and who may fill it. Every change of a cache is made here, at once."""

from __future__ import annotations

__all__ = ("FirstTier",)

from collections.abc import Callable, Hashable
from random import Random
from typing import Any

from anyflight._errors import MissingKeyError

from ._clock import loop_clock
from ._freshness import Entry
from ._generations import Generations, Ticket
from ._kept_errors import failure_of
from ._lifetimes import Lifetimes
from ._memory import Memory
from ._statistics import Counters
from ._store import StoredValue


class FirstTier:
    """Entries and tickets, by the clock of the event loop where the cache is open."""

    __slots__ = ("_random", "counters", "generations", "lifetimes", "memory", "now")

    def __init__(self, memory: Memory, lifetimes: Lifetimes, counters: Counters) -> None:
        self.memory = memory
        self.lifetimes = lifetimes
        self.counters = counters
        self.generations = Generations()
        #: Tells the time. Written by `open`, as the next.
        self.now: Callable[[], float]
        self._random: Random

    def open(self) -> None:
        """Go by the clock of this event loop from now on."""
        self.generations.closed = False
        self.now = loop_clock()
        # Not the one of the module `random`, which a program may have seeded for its own purposes;
        # and made here, so that processes that were forked do not all draw the same.
        self._random = Random()  # noqa: S311 - nothing is secret about it

    def close(self) -> None:
        """Forget everything, and keep nothing of what calls of `get_many` may bring later."""
        self.clear()
        self.generations.closed = True

    def draw(self) -> float:
        """Return a random number in (0, 1]."""
        return 1 - self._random.random()

    def new_value(self, value: Any, cost: float, tags: frozenset[str]) -> StoredValue[Any]:
        """Return the record of a value that is new."""
        ttl = self.lifetimes.lifetime(self.draw() if self.lifetimes.ttl_jitter else 1)
        return StoredValue(value=value, ttl=ttl, cost=cost, tags=tags)

    def fill(self, ticket: Ticket, stored: StoredValue[Any]) -> bool:
        """Keep a value, unless its work has been overtaken; whether it was kept."""
        if not self.generations.overtake(ticket):
            self.counters.kept_out += 1
            return False
        self._put(ticket.key, stored)
        return True

    def replace(self, ticket: Ticket, stored: StoredValue[Any]) -> None:
        """Keep a value in place of all that is kept, or would be, from before now.

        Nothing is kept if the key was invalidated, or other work has filled: who knows what came
        first.
        """
        holds = self.generations.holds(ticket)
        self.drop(ticket.key)
        if holds:
            self._put(ticket.key, stored)
        else:
            self.counters.kept_out += 1

    def _put(self, key: Hashable, stored: StoredValue[Any]) -> None:
        now = self.now()
        self.memory.put(key, self.lifetimes.entry(stored, now), now)

    def adopt(self, ticket: Ticket, stored: StoredValue[Any], *, instead: bool = False) -> None:
        """Keep a value of the store, unless that has been overtaken, or there is a later one.

        It overtakes nothing: however late it was read, what is being loaded is newer.

        :param instead: whether it is newer than what there is, though it may expire sooner
        """
        if not self.generations.holds(ticket):
            self.counters.kept_out += 1
            return
        now, before = self.now(), self.memory.entries.get(ticket.key)
        entry = self.lifetimes.entry(stored, now)
        if instead or before is None or before.expires < entry.expires:
            self.memory.put(ticket.key, entry, now)

    def fail(self, ticket: Ticket, error: Exception, tags: frozenset[str]) -> None:
        """Keep an error, if such errors are kept and its work has not been overtaken.

        To be called where the error was caught: that frame is not kept with it. The news that there
        is no value is more than an error: the value that there was is forgotten.
        """
        key, seconds = ticket.key, self.lifetimes.error_lifetime(error)
        gone = isinstance(error, MissingKeyError)
        if seconds is None and not gone:
            return
        if not self.generations.overtake(ticket):
            self.counters.kept_out += 1
            return
        now, before = self.now(), self.memory.entries.get(key)
        if seconds is None:
            self.memory.delete(key)
            return
        if before is not None and (gone or before.useless(now)):
            before = None  # nor is it to be kept for as long as the error
        entry = self.lifetimes.failed(before, failure_of(error), tags, now + seconds)
        self.memory.put(key, entry, now)

    def pause(self, key: Hashable, entry: Entry) -> Entry:
        """Leave a value in peace whose refresh begins, or has failed; return its entry."""
        if self.memory.entries.get(key) is not entry:
            return entry
        now = self.now()
        paused = self.lifetimes.paused(entry, now)
        self.memory.put(key, paused, now)
        return paused

    def drop(self, key: Hashable) -> None:
        """Forget what is kept for a key, and let nothing fill that has begun."""
        self.memory.delete(key)
        self.generations.invalidate(key)

    def drop_tag(self, tag: str) -> set[Hashable]:
        """Do so for what has this tag or may come to have it; return all keys that this is for."""
        tagged = self.memory.tagged(tag)
        for key in tagged:
            self.memory.delete(key)
        tagged |= self.generations.tagged(tag)
        for key in tagged:
            self.generations.invalidate(key)
        return tagged

    def clear(self) -> None:
        """Forget everything, and let nothing fill that has begun."""
        self.memory.clear()
        self.generations.clear()
