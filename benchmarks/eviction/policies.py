"""Policies in a few lines over what Python has.

An entry is found by `get`, which is a dictionary's own method. What a hit costs beyond that is
`touch`; its body stands in `PROMOTE` once more, for the measurement, where no call is to be paid.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import ClassVar

Get = Callable[[Hashable], "Entry | None"]


class Entry:
    """What is kept for a key; `used` since a policy that goes by that has last looked.

    `key` and the neighbours are for those who keep a list of entries.
    """

    __slots__ = ("key", "newer", "older", "used")
    key: Hashable
    older: Entry
    newer: Entry

    def __init__(self) -> None:
        self.used = False


class Fifo:
    """The oldest goes, used or not."""

    LOOKUP = "get(key)"
    PROMOTE: ClassVar = "pass"

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()
        self.get: Get = self._entries.get

    def touch(self, key: Hashable, entry: Entry) -> None:
        """Do nothing."""

    def put(self, key: Hashable, entry: Entry) -> None:
        """Keep the entry of a key that has none."""
        if len(self._entries) >= self._size:
            self._entries.popitem(last=False)
        self._entries[key] = entry


class Lru(Fifo):
    """What was not used for the longest time goes."""

    PROMOTE: ClassVar = "move_to_end(key)"

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.move_to_end = self._entries.move_to_end

    def touch(self, key: Hashable, entry: Entry) -> None:  # noqa: ARG002 - as the others
        """Move to the end."""
        self._entries.move_to_end(key)


class _Marking:
    """A hit is a mark on the entry, and nothing else."""

    LOOKUP = "get(key)"
    PROMOTE: ClassVar = "entry.used = True"

    def touch(self, key: Hashable, entry: Entry) -> None:  # noqa: ARG002 - as the others
        """Mark."""
        entry.used = True


class Clock(_Marking):
    """The oldest goes, but what was used gets a second chance: it becomes the youngest."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()
        self.get: Get = self._entries.get

    def put(self, key: Hashable, entry: Entry) -> None:
        """Keep the entry of a key that has none."""
        entries = self._entries
        while len(entries) >= self._size:
            oldest, other = entries.popitem(last=False)
            if other.used:
                other.used = False
                entries[oldest] = other
        entries[key] = entry


class Sieve(_Marking):
    """As a clock, but what gets a second chance stays where it is (Zhang et al., NSDI 2024)."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[Hashable, Entry] = {}
        self.get: Get = self._entries.get
        # The ends of the list are one: its newer neighbour is the oldest.
        self._ends = self._hand = ends = Entry()
        ends.older = ends.newer = ends

    def put(self, key: Hashable, entry: Entry) -> None:
        """Keep the entry of a key that has none."""
        if len(self._entries) >= self._size:
            self._evict()
        self._entries[key] = entry
        entry.key = key
        ends = self._ends
        entry.older, entry.newer = ends.older, ends
        ends.older.newer = ends.older = entry

    def _evict(self) -> None:
        entry = self._hand
        while entry is self._ends or entry.used:
            entry.used = False
            entry = entry.newer
        self._hand = entry.newer
        entry.older.newer, entry.newer.older = entry.newer, entry.older
        del self._entries[entry.key]


class S3Fifo(_Marking):
    """A small queue for newcomers, a main one for what proved its use.

    Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023, with one bit per
    entry where the paper has two. A newcomer that was used moves on to the main queue; one that was
    not is evicted early, so keys that are asked for once do not drive out others. Who comes back
    soon after its eviction, and is still remembered, goes to the main queue at once. What is
    remembered are hashes: no key is held, and an equal hash of two keys does no more than put
    one into the other queue.
    """

    SMALL: ClassVar = 10
    """The small queue is a part in so many."""
    GHOSTS: ClassVar = 2
    """So many times fewer hashes are remembered than entries kept."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._small_size = max(1, size // self.SMALL)
        self._entries: dict[Hashable, Entry] = {}
        self._small: OrderedDict[Hashable, Entry] = OrderedDict()
        self._main: OrderedDict[Hashable, Entry] = OrderedDict()
        self._ghosts: set[int] = set()
        self._ghost_order: deque[int] = deque()
        self.get: Get = self._entries.get

    def put(self, key: Hashable, entry: Entry) -> None:
        """Keep the entry of a key that has none."""
        if len(self._entries) >= self._size:
            self._evict()
        self._entries[key] = entry
        ghost = hash(key)
        if ghost in self._ghosts:
            self._ghosts.remove(ghost)
            self._main[key] = entry
        else:
            self._small[key] = entry

    def _evict(self) -> None:
        """Evict one. It ends: each turn before takes a mark away."""
        while True:
            newcomer = len(self._small) >= self._small_size or not self._main
            queue = self._small if newcomer else self._main
            key, entry = queue.popitem(last=False)
            if entry.used:
                entry.used = False
                self._main[key] = entry
                continue
            del self._entries[key]
            if newcomer:
                self._remember(hash(key))
            return

    def _remember(self, ghost: int) -> None:
        self._ghosts.add(ghost)
        self._ghost_order.append(ghost)
        if len(self._ghost_order) > self._size // self.GHOSTS:
            self._ghosts.discard(self._ghost_order.popleft())
