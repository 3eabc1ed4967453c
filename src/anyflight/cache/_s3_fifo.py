"""Which entry leaves for another: S3-FIFO, with one bit for each entry.

Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023). Newcomers wait in a
queue. At its end those that were used move on to the main queue, at whose end those that were used
get another round; the others leave. So what is asked for once, a scan for example, passes through
without harm to the rest. One that left the small queue a short while ago and comes back goes into
the main queue at once.

A use only sets a bit, which is why a hit costs no call in here. docs/eviction.md compares it with
others.
"""

from __future__ import annotations

__all__ = ("S3Fifo",)

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, TypeAlias

from ._freshness import Entry

Queue: TypeAlias = OrderedDict[Hashable, Entry]


class S3Fifo:
    """The keys in the order in which they are to leave.

    :param max_entries: how many there are at most; sets the sizes of the queues
    """

    __slots__ = ("_ghosts", "_main", "_max_ghosts", "_small", "_small_size")

    def __init__(self, max_entries: int) -> None:
        self._small_size = max(1, max_entries // 10)
        self._max_ghosts = max_entries // 2
        self._small: Queue = OrderedDict()
        self._main: Queue = OrderedDict()
        #: The hashes of the keys that left the small queue last. No key is held; one with an equal
        #: hash is taken for it, which does no harm.
        self._ghosts: OrderedDict[int, Any] = OrderedDict()

    def add(self, key: Hashable, entry: Entry) -> None:
        """Let an entry queue whose key is not in any queue."""
        known = hash(key) in self._ghosts
        if known:
            del self._ghosts[hash(key)]
        (self._main if known else self._small)[key] = entry

    def replace(self, key: Hashable, entry: Entry) -> None:
        """Let an entry take the place of the one with the same key."""
        queue = self._queue(key)
        entry.used = queue[key].used
        queue[key] = entry

    def remove(self, key: Hashable) -> None:
        """Take an entry out that does not leave for another."""
        del self._queue(key)[key]

    def evict(self) -> Hashable:
        """Take out the entry that has to leave, and return its key; there must be one.

        It ends, because each turn of the loops takes a mark away.
        """
        while len(self._small) >= self._small_size or not self._main:
            key, entry = self._small.popitem(last=False)
            if not entry.used:
                self._remember(key)
                return key
            entry.used = False
            self._main[key] = entry
        while True:
            key, entry = self._main.popitem(last=False)
            if not entry.used:
                return key
            entry.used = False
            self._main[key] = entry

    def clear(self) -> None:
        """Forget everything."""
        self._small.clear()
        self._main.clear()
        self._ghosts.clear()

    def _queue(self, key: Hashable) -> Queue:
        return self._small if key in self._small else self._main

    def _remember(self, key: Hashable) -> None:
        self._ghosts[hash(key)] = None
        if len(self._ghosts) > self._max_ghosts:
            self._ghosts.popitem(last=False)
