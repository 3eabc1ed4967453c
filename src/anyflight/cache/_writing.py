"""What changes a cache from outside: setting and invalidating."""

from __future__ import annotations

__all__ = ("Writing",)

from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from anyio.lowlevel import checkpoint

from anyflight._checks import check_hashable
from anyflight._loader import BatchLoader

from ._checks import check_tag, checked_tags
from ._first_tier import FirstTier
from ._flights import Flights
from ._loading import Loading
from ._memory import Memory
from ._second_tier import SecondTier
from ._shared_tier import SharedTier

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Writing(Generic[K, V]):
    """Gives :class:`ReadThroughCache`, and nothing else, the methods with which users write."""

    _flights: Flights[Any, Any]
    _memory: Memory
    _first: FirstTier
    _second: SecondTier | SharedTier | None
    _loading: Loading
    _copy: Callable[[V], V] | None
    #: The loaders that `get_many` was given since the cache was opened.
    _loaders: WeakSet[BatchLoader[K, V]]

    async def set(self, key: K, value: V, *, tags: Iterable[str] = ()) -> None:
        """Keep a value in place of what there was, as if a flight had brought it.

        What is on its way for this key is not kept; those who wait for it get it. That, and the
        value in memory, is done at once; then this waits for the store, if there is one. It is a
        checkpoint. If it is cancelled there, the store may have the old value still. With
        ``across`` the server comes first, which in one step drops what all processes have, or have
        under way, and stores the value; then memory.

        :raises Exception: what the store raised, which then may have the old value still
        :raises LeaseUnavailableError: the same with ``across``: the other processes were not told
        :raises anyio.ClosedResourceError: if the cache is closed
        :raises RuntimeError: as `get`; outside of a task, too
        :raises TypeError: if an argument is of the wrong type
        """
        self._check(key)
        first, tags = self._first, checked_tags(tags)
        value = self._handed_out(value)
        before = self._memory.entries.get(key)
        self._forget(key)
        stored = first.new_value(value, 0.0 if before is None else before.cost, tags)
        await self._loading.write(key, stored)

    async def invalidate(self, key: K) -> None:
        """Forget what is kept for ``key``, and keep nothing of what is on its way.

        Those who wait already get what comes; the next `get` starts afresh. That is done at once;
        then this waits for the store, if there is one. It is a checkpoint. If it is cancelled
        there, the store may have the old value still: where that must not be, shield the call.

        Use it after a write. Other processes have memories of their own: with ``across`` they are
        told, and forget it too; else a value stays there until it expires.

        :raises Exception: what the store raised, which then may have the old value still
        :raises LeaseUnavailableError: the same with ``across``: the other processes were not told
        :raises anyio.ClosedResourceError: if the cache is closed
        :raises RuntimeError: as `get`; outside of a task, too
        :raises TypeError: if the key is unhashable
        """
        self._check(key)
        self._forget(key)
        if self._second is None:
            await checkpoint()
            return
        with self._second.unread(key):
            await self._second.delete(key)

    async def invalidate_tag(self, tag: str) -> None:
        """Do as `invalidate` for each key whose value has this tag, or is on its way to have it.

        :raises Exception: as `invalidate`
        """
        self._flights.check_open()
        check_tag(tag)
        self._flights.detach(self._first.drop_tag(tag))
        self._forget_all_loads()
        if self._second is None:
            await checkpoint()
            return
        with self._second.unread():
            await self._second.delete_tag(tag)

    async def clear(self) -> None:
        """Do as `invalidate` for every key.

        :raises Exception: as `invalidate`
        """
        self._flights.check_open()
        self._forget_all()
        if self._second is None:
            await checkpoint()
            return
        with self._second.unread():
            await self._second.clear()

    def _check(self, key: K) -> None:
        self._flights.check_open()
        check_hashable(key)

    def _forget(self, key: K) -> None:
        """Forget what is kept for a key, and keep nothing of what is on its way."""
        self._first.drop(key)
        self._flights.detach([key])
        self._forget_loads(key)

    def _forget_all(self) -> None:
        """Do so for every key."""
        self._first.clear()
        self._flights.detach(self._flights.keys())
        self._forget_all_loads()

    def _forget_loads(self, key: K) -> None:
        """Let nothing be joined that loaders have begun for a key."""
        for loader in tuple(self._loaders):
            with suppress(RuntimeError):  # it has been opened elsewhere: nobody here waits for it
                loader.forget(key)

    def _forget_all_loads(self) -> None:
        """Let nothing be joined that loaders have begun: who knows which tags it would have had."""
        for loader in tuple(self._loaders):
            with suppress(RuntimeError):  # the same
                _forget_all(loader)

    def _loading_now(self) -> list[Any]:
        """Return the keys for which loaders are at work."""
        found: list[Any] = []
        for loader in tuple(self._loaders):
            with suppress(RuntimeError):  # the same
                found += [flight.key for flight in loader.flights()]
        return found

    def _get_to_know(self, loader: BatchLoader[K, V], fresh: Iterable[K]) -> None:
        """Pass invalidations on to a loader from now on.

        What it has begun so far may be from before one that it has not been told of.

        :param fresh: keys for which nothing that any loader has begun is to be joined
        :raises RuntimeError: if it is open in another event loop or thread
        """
        if loader not in self._loaders:
            _forget_all(loader)
            self._loaders.add(loader)
        for key in fresh:
            self._forget_loads(key)

    def _handed_out(self, value: V) -> V:
        return value if self._copy is None else self._copy(value)


def _forget_all(loader: BatchLoader[Any, Any]) -> None:
    for flight in loader.flights():
        loader.forget(flight.key)
