"""Which entries are of no use any more, so that they leave though nobody asks for them again."""

from __future__ import annotations

__all__ = ("Departures",)

import math
from collections.abc import Hashable


class Departures:
    """Keys by the time at which their entries are gone, in spans of time.

    An entry is due when its span is over, so a span late at most. Those without end are not noted.

    :param span: how many seconds one is long. A small part of the longest life of an entry, for
        there are about as many spans as fit into that
    """

    __slots__ = ("_first", "_keys", "_span")

    def __init__(self, span: float) -> None:
        self._span = span
        self._keys: dict[int, set[Hashable]] = {}
        #: The first span of which there are keys, or one before that.
        self._first: float = math.inf

    def __len__(self) -> int:
        return sum(map(len, self._keys.values()))

    def add(self, key: Hashable, gone: float) -> None:
        """Note when an entry is gone."""
        if gone < math.inf:
            index = int(gone // self._span)
            self._keys.setdefault(index, set()).add(key)
            self._first = min(self._first, index)

    def discard(self, key: Hashable, gone: float) -> None:
        """Forget what was noted, if it is: the entry leaves before its time."""
        if gone < math.inf:
            index = int(gone // self._span)
            keys = self._keys.get(index)
            if keys is not None:
                keys.discard(key)
                self._drop_if_empty(index)

    def due(self, now: float, limit: int) -> list[Hashable]:
        """Return some keys whose entries are gone, and forget what was noted of them.

        They are taken with `pop`, which goes on where it was: an iterator would pass all that has
        been taken before, each time.
        """
        past = now // self._span
        if self._first >= past:
            return []
        self._first = min(self._keys, default=math.inf)
        if self._first >= past:
            return []
        keys = self._keys[int(self._first)]
        taken = [keys.pop() for _ in range(min(limit, len(keys)))]
        self._drop_if_empty(int(self._first))
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._keys.clear()
        self._first = math.inf

    def _drop_if_empty(self, index: int) -> None:
        if not self._keys[index]:
            del self._keys[index]
