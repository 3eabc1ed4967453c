"""What does a library do with odd keys, with finalizers, and on its own?

Run as a program it makes one probe of one contestant: some hang, and that must end with a process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Hashable
from weakref import WeakSet

import psutil

from benchmarks.eviction.contestants import OPEN, Store
from benchmarks.eviction.policies import Entry

PROBED = (
    "S3-FIFO",
    "cachetools LRU",
    "lru-dict",
    "cachebox LRU",
    "moka-py TinyLFU",
    "theine W-TinyLFU",
)
PATIENCE = 10.0
"""Seconds after which a probe that has not ended hangs."""
YES, NO, HANGS = "yes", "**no**", "**hangs**"
Open = Callable[[int], Store]


def _one_key(open_store: Open) -> bool:
    store, entry = open_store(10), Entry()
    store.put(1, entry)
    return store.get(True) is store.get(1.0) is entry


def _none(open_store: Open) -> bool:
    store, entry = open_store(10), Entry()
    store.put(None, entry)
    return store.get(None) is entry


def _equal_hashes(open_store: Open) -> bool:
    store, one, other = open_store(10), Entry(), Entry()
    store.put(-1, one)
    store.put(-2, other)
    return store.get(-1) is one and store.get(-2) is other


class _Failing:
    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError


def _errors(open_store: Open) -> bool:
    store = open_store(10)
    store.put(_Failing(), Entry())
    try:
        store.get(_Failing())
    except ZeroDivisionError:
        return True
    return False


class _Asking:
    def __init__(self, store: Store) -> None:
        self._store = store

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        self._store.get("another")
        return self is other


def _asking_key(open_store: Open) -> bool:
    store = open_store(10)
    store.put(_Asking(store), Entry())
    return store.get(_Asking(store)) is None


class _Dying(Entry):
    __slots__ = ("_asked", "_store")

    def __init__(self, store: Store, asked: list[Hashable]) -> None:
        super().__init__()
        self._store, self._asked = store, asked

    def __del__(self) -> None:
        self._asked.append(self._store.get("another"))


def _finalizer(open_store: Open) -> bool:
    store = open_store(2)
    asked: list[Hashable] = []
    for key in range(1000):
        store.put(key, _Dying(store, asked))
    return set(asked) == {None}


class _Seen(Entry):
    __slots__ = ("__weakref__",)


def _bound(open_store: Open) -> bool:
    size = 100
    store = open_store(size)
    alive: WeakSet[_Seen] = WeakSet()
    for key in range(10 * size):
        entry = _Seen()
        alive.add(entry)
        store.put(key, entry)
        del entry
        if len(alive) > size:
            return False
    return True


def _threads(open_store: Open) -> bool:
    open_store(10)
    return psutil.Process().num_threads() == 1


PROBES: dict[str, Callable[[Open], bool]] = {
    "`1`, `True` and `1.0` are one key": _one_key,
    "`None` is a key": _none,
    "`-1` and `-2`, whose hashes are equal, are two": _equal_hashes,
    "an error of a key's `__eq__` comes out": _errors,
    "a key's `__eq__` may ask the cache": _asking_key,
    "the finalizer of what is evicted may ask the cache": _finalizer,
    "no more entries than allowed are alive": _bound,
    "no thread is started": _threads,
}


def run(*, quick: bool) -> dict[str, dict[str, str]]:
    """Make every probe; a smoke run takes one contestant."""
    names = PROBED[1:2] if quick else PROBED
    return {name: {probe: _find(name, probe) for probe in PROBES} for name in names}


def _find(name: str, probe: str) -> str:
    command = [sys.executable, "-m", "benchmarks.eviction.probes", name, probe]
    try:
        done = subprocess.run(  # noqa: S603 - this very program
            command, check=True, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return HANGS
    return done.stdout.strip()


if __name__ == "__main__":
    print(YES if PROBES[sys.argv[2]](OPEN[sys.argv[1]]) else NO)
