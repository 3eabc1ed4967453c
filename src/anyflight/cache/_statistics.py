"""What a cache counts."""

# Annotations are evaluated here, for the reason that `anyflight._events` gives.

__all__ = ("CacheStatistics", "Counters")

from dataclasses import dataclass

from anyflight._events import CoalescerStatistics


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache has done since it was made, and what it holds now.

    The counters go on when the cache is closed and opened again. A call of ``get``, and each key of
    one of ``get_many``, is one of ``hits``, ``stale``, ``kept_errors`` and ``misses``, unless it is
    refused or its arguments are wrong. At every moment::

        coalescing.calls <= misses + refreshes + coalescing.refused
        stale_if_error <= kept_errors + misses
        refresh_failures <= refreshes
        entries <= max_entries

    :ivar hits: answers from memory that were fresh
    :ivar stale: answers from memory that had expired, served while they are revalidated
    :ivar kept_errors: answers from an error that is kept: that error, or a value in its place
    :ivar misses: calls for which there was no such answer, and those with ``fresh=True``
    :ivar stale_if_error: those of ``kept_errors`` and ``misses`` that got a value all the same
    :ivar refreshes: flights that the cache started itself, in the background
    :ivar refresh_failures: those of them whose work ended without a value
    :ivar kept_out: results that were not kept, because work that began later was first, or because
        the key was invalidated or set under way
    :ivar evicted: entries that had to leave because there were ``max_entries``
    :ivar store_hits: flights that found what they needed in the store
    :ivar store_errors: how often the store raised, or returned what is of no use
    :ivar entries: entries in memory now, also those of errors, and those that have expired and have
        not been taken out yet
    :ivar coalescing: what the flights of this cache have done, as :class:`Coalescer` counts it
    """

    hits: int
    stale: int
    kept_errors: int
    misses: int
    stale_if_error: int
    refreshes: int
    refresh_failures: int
    kept_out: int
    evicted: int
    store_hits: int
    store_errors: int
    entries: int
    coalescing: CoalescerStatistics


class Counters:
    """The counters while they count; each is written where what it counts is done."""

    __slots__ = (
        "hits",
        "kept_errors",
        "kept_out",
        "misses",
        "refresh_failures",
        "refreshes",
        "stale",
        "stale_if_error",
        "store_errors",
        "store_hits",
    )

    def __init__(self) -> None:
        self.hits = 0
        self.stale = 0
        self.kept_errors = 0
        self.misses = 0
        self.stale_if_error = 0
        self.refreshes = 0
        self.refresh_failures = 0
        self.kept_out = 0
        self.store_hits = 0
        self.store_errors = 0

    def statistics(
        self, *, evicted: int, entries: int, coalescing: CoalescerStatistics
    ) -> CacheStatistics:
        """Return the counters as they are now, with what is counted elsewhere."""
        counted = {name: getattr(self, name) for name in self.__slots__}
        return CacheStatistics(**counted, evicted=evicted, entries=entries, coalescing=coalescing)
