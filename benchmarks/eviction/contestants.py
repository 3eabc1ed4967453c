"""The policies and libraries that are compared, behind one face."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Protocol

from benchmarks.eviction.policies import Clock, Entry, Fifo, Get, Lru, S3Fifo, Sieve


class Store(Protocol):
    """At most so many entries.

    :ivar get: finds the entry of a key
    :ivar LOOKUP: how a program would call that
    :ivar PROMOTE: what `touch` does, to be executed without a call
    """

    get: Get
    LOOKUP: str
    PROMOTE: ClassVar[str]

    def touch(self, key: Hashable, entry: Entry) -> None:
        """Note a hit, if `get` has not."""

    def put(self, key: Hashable, entry: Entry) -> None:
        """Keep the entry of a key that has none; what must go for it goes."""


class Shelf:
    """A library's cache: to get is to note a hit.

    :ivar cache: the library's own
    """

    PROMOTE: ClassVar = "pass"

    def __init__(
        self,
        cache: Any,
        put: Callable[[Hashable, Entry], None],
        get: Get | None = None,
        lookup: str = "get(key)",
    ) -> None:
        self.cache = cache
        self.put = put
        self.get: Get = get or cache.get
        self.LOOKUP = lookup

    def touch(self, key: Hashable, entry: Entry) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those that are compared.

    :ivar package: its distribution; empty for what needs none
    :ivar module: what is imported for it
    :ivar open: returns a store of a size
    """

    name: str
    package: str
    module: str
    open: Callable[[int], Store]


def _mapping(module: str, kind: str, **options: Any) -> Callable[[int], Store]:
    """Return what opens a library's mapping."""

    def open_store(size: int) -> Store:
        cache = getattr(import_module(module), kind)(size, **options)
        return Shelf(cache, cache.__setitem__)

    return open_store


def _open_moka(size: int) -> Store:
    cache = import_module("moka_py").Moka(size)
    return Shelf(cache, cache.set)


def _open_theine(size: int) -> Store:
    # nolock: one thread alone uses it.
    cache = import_module("theine").Cache(size, nolock=True)

    def get(key: Hashable) -> Entry | None:
        entry: Entry | None = cache.get(key)[0]
        return entry

    return Shelf(cache, cache.set, get, "cache.get(key)[0]")


def _in_an_hour(_key: Hashable, _entry: Entry, now: float) -> float:
    return now + 3600


def _open_dict(_: int) -> Store:
    entries: dict[Hashable, Entry] = {}
    return Shelf(entries, entries.__setitem__)


FLOOR = Contestant("dict, without bounds", "", "builtins", _open_dict)
OURS = Contestant("S3-FIFO", "", "collections", S3Fifo)
LRU = Contestant("LRU", "", "collections", Lru)
CONTESTANTS = (
    OURS,
    Contestant("SIEVE", "", "collections", Sieve),
    Contestant("clock", "", "collections", Clock),
    LRU,
    Contestant("FIFO", "", "collections", Fifo),
    Contestant("cachetools LRU", "cachetools", "cachetools", _mapping("cachetools", "LRUCache")),
    Contestant("cachetools LFU", "cachetools", "cachetools", _mapping("cachetools", "LFUCache")),
    Contestant(
        "cachetools TLRU",
        "cachetools",
        "cachetools",
        _mapping("cachetools", "TLRUCache", ttu=_in_an_hour),
    ),
    Contestant("lru-dict", "lru-dict", "lru", _mapping("lru", "LRU")),
    Contestant("cachebox LRU", "cachebox", "cachebox", _mapping("cachebox", "LRUCache")),
    Contestant("cachebox LFU", "cachebox", "cachebox", _mapping("cachebox", "LFUCache")),
    Contestant("moka-py TinyLFU", "moka-py", "moka_py", _open_moka),
    Contestant("theine W-TinyLFU", "theine", "theine", _open_theine),
)
SAME = {
    "cachetools LRU": LRU.name,
    "cachetools TLRU": LRU.name,
    "lru-dict": LRU.name,
    "cachebox LRU": LRU.name,
    "cachebox LFU": "cachetools LFU",
}
"""Who evicts exactly as another does; the tests see to that, and only the other's hits count."""
OPEN = {each.name: each.open for each in (FLOOR, *CONTESTANTS)}
