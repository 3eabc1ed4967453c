"""The entries in memory: so many at most, found by key and by tag, gone when nobody can use them.

Invariants, checked after every step of the property tests:

1. There are at most ``max_entries`` entries.
2. A key stands in one queue of the eviction policy if and only if it has an entry.
3. A key is among those of a tag if and only if its entry has that tag, and no tag is without keys.
4. A key is noted for departure if and only if its entry will be gone some day.
"""

from __future__ import annotations

__all__ = ("SWEEP", "Memory")

from collections.abc import Hashable
from typing import Final

from ._departures import Departures
from ._freshness import Entry
from ._s3_fifo import S3Fifo

#: How many entries that are gone are taken out for each that comes, at most. More than one, so that
#: none are left in the end; few, so that no call pays for a multitude that is gone at once.
SWEEP: Final = 16


class Memory:
    """A bounded mapping from keys to entries. It reads no clock: times are passed in.

    When a value is let go its finalizer may run, and call the cache: so every method is done with
    its changes by then.

    :param span: see :class:`Departures`
    """

    __slots__ = ("_departures", "_keys_of", "_max_entries", "_queues", "entries", "evicted")

    def __init__(self, max_entries: int, span: float) -> None:
        self._max_entries = max_entries
        #: To be read by others; who serves an entry sets its `used`.
        self.entries: dict[Hashable, Entry] = {}
        self._queues = S3Fifo(max_entries)
        self._keys_of: dict[str, set[Hashable]] = {}
        self._departures = Departures(span)
        #: How many entries were thrown out for others.
        self.evicted = 0

    def __len__(self) -> int:
        return len(self.entries)

    def put(self, key: Hashable, entry: Entry, now: float) -> None:
        """Keep an entry in place of the one that there was, unless it is gone already."""
        for each in self._departures.due(now, SWEEP):
            self.delete(each)
        if entry.gone <= now:
            self.delete(key)
            return
        before = self.entries.get(key)
        if before is None:
            if len(self) >= self._max_entries:
                before = self._evict()
            self._queues.add(key, entry)
        else:
            self._unlist(key, before)
            self._queues.replace(key, entry)
        self.entries[key] = entry
        self._list(key, entry)  # and `before` lives till here

    def delete(self, key: Hashable) -> None:
        """Forget the entry of a key, if there is one."""
        entry = self.entries.pop(key, None)
        if entry is not None:
            self._queues.remove(key)
            self._unlist(key, entry)

    def tagged(self, tag: str) -> set[Hashable]:
        """Return the keys whose entries have this tag."""
        return set(self._keys_of.get(tag, ()))

    def clear(self) -> None:
        """Forget everything."""
        kept = self.entries.copy()
        self.entries.clear()
        self._queues.clear()
        self._keys_of.clear()
        self._departures.clear()
        del kept  # not sooner: see above

    def _evict(self) -> Entry | None:
        try:
            key = self._queues.evict()
            entry = self.entries.pop(key)
        except KeyError:  # the hash of a key has changed: what is kept for it cannot be found
            self.clear()
            return None
        self._unlist(key, entry)
        self.evicted += 1
        return entry

    def _list(self, key: Hashable, entry: Entry) -> None:
        self._departures.add(key, entry.gone)
        for tag in entry.tags:
            self._keys_of.setdefault(tag, set()).add(key)

    def _unlist(self, key: Hashable, entry: Entry) -> None:
        self._departures.discard(key, entry.gone)
        for tag in entry.tags:
            keys = self._keys_of[tag]
            keys.remove(key)
            if not keys:
                del self._keys_of[tag]
