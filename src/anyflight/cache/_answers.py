"""What memory answers, and the flights that it starts in the background for the next time."""

from __future__ import annotations

__all__ = ("MISS", "Answers")

from collections.abc import Hashable, Iterable
from typing import Any, Final, cast

from anyflight._outcome import Failure
from anyflight._owner import Phase

from ._first_tier import FirstTier
from ._flights import Flights
from ._freshness import Entry, Freshness, freshness
from ._kept_errors import raise_kept
from ._loading import Loading, Source

#: The answer is that the call has to go on.
MISS: Final[Any] = object()
#: What is served while it is in memory.
SERVED: Final = frozenset({Freshness.FRESH, Freshness.REFRESH, Freshness.STALE})


class Answers:
    """Answers without waiting, and counts what it answers."""

    __slots__ = ("_counters", "_entries", "_first", "_flights", "_loading")

    def __init__(self, first: FirstTier, flights: Flights[Any, Any], loading: Loading) -> None:
        self._first = first
        self._flights = flights
        self._loading = loading
        self._counters = first.counters
        self._entries = first.memory.entries

    def ask(self, key: Hashable, source: Source) -> Any:
        """Return the value of a key that may be served, or `MISS`; or raise its error."""
        entry = self._entries.get(key)
        if entry is None:
            return MISS
        entry.used = True
        now = self._first.now()
        if now < entry.calm_until:
            self._counters.hits += 1
            return entry.value
        return self.aged(key, entry, now, source)

    def aged(self, key: Hashable, entry: Entry, now: float, source: Source) -> Any:
        """Do so with an entry that may not be fresh."""
        counters, draw = self._counters, self._first.draw() if entry.early else 1
        match freshness(entry, now, draw):
            case Freshness.FRESH:
                counters.hits += 1
            case Freshness.REFRESH:
                counters.hits += 1
                self._refresh(key, entry, now, source, draw)
            case Freshness.STALE:
                counters.stale += 1
                self._refresh(key, entry, now, source, draw=1)
            case Freshness.FAILED:
                counters.kept_errors += 1
                if not entry.spare(now):
                    raise_kept(cast("Failure", entry.failure), key)
                counters.stale_if_error += 1
            case _:
                return MISS
        return entry.value

    def peek(self, key: Hashable) -> Any:
        """Return the value that `ask` would, or `MISS`, and leave no trace."""
        entry = self._entries.get(key)
        if entry is not None:
            now = self._first.now()
            found = freshness(entry, now, 1)
            if found in SERVED or (found is Freshness.FAILED and entry.spare(now)):
                return entry.value
        return MISS

    def spares(self, keys: Iterable[Hashable]) -> dict[Any, Any] | None:
        """Return what may be served in place of an error, if there is something for each key."""
        if self._flights.owner.phase is not Phase.OPEN:
            # Those who wait may wake when all has been forgotten: so none of them is served, and
            # not some of them by chance.
            return None
        now = self._first.now()
        values: dict[Any, Any] = {}
        for key in keys:
            entry = self._entries.get(key)
            if entry is None or not entry.spare(now):
                return None
            values[key] = entry.value
        self._counters.stale_if_error += len(values)
        return values

    def _refresh(
        self, key: Hashable, entry: Entry, now: float, source: Source, draw: float
    ) -> None:
        """Let a flight in the background fetch the next value, if none is on its way."""
        if now < entry.quiet_until:
            return
        # Now, and not when it fails: work that ignores its cancellation may never come to that.
        entry = self._first.pause(key, entry)
        if self._flights.start(key, self._loading.refresh, key, source, entry, draw):
            self._counters.refreshes += 1
