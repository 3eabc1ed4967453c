"""Waiting for flights, when memory has no answer; and what is served if they fail."""

from __future__ import annotations

__all__ = ("Misses",)

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final

from anyflight._errors import DeadlockError, MissingKeyError
from anyflight._loader import BatchLoader

from ._answers import MISS, Answers
from ._first_tier import FirstTier
from ._flights import Flights
from ._loading import Loading, Source
from ._loading_many import LoadingMany
from ._second_tier import SecondTier
from ._shared_tier import SharedTier
from ._sharing_many import SharingMany

#: What no value stands in for: a fault of the program, and the news that there is no value.
NO_FAILURE: Final = (DeadlockError, MissingKeyError)


class Misses:
    """Starts or joins the flights of calls, and waits for them in the caller's task."""

    __slots__ = ("_answers", "_counters", "_flights", "_loading", "_loading_many", "_second")

    def __init__(
        self,
        first: FirstTier,
        second: SecondTier | SharedTier | None,
        flights: Flights[Any, Any],
        loading: Loading,
        answers: Answers,
    ) -> None:
        self._counters = first.counters
        self._second = second
        self._flights = flights
        self._loading = loading
        self._loading_many = (
            SharingMany(self._fly)
            if isinstance(second, SharedTier)
            else LoadingMany(first, second, loading, answers)
        )
        self._answers = answers

    async def wait(self, key: Hashable, source: Source, *, fresh: bool) -> Any:
        """Return the value of a key."""
        self._counters.misses += 1
        try:
            return await self._fly(key, source, fresh)
        except Exception as exc:
            spares = self._instead_of(exc, [key], fresh=fresh)
            if spares is None:
                raise
            return spares[key]

    async def _fly(self, key: Hashable, source: Source, fresh: bool) -> Any:
        execute, load = self._flights.execute, self._loading.load
        if fresh and self._second is not None:
            with self._second.unread(key):
                return await execute(key, load, key, source, fresh=True)
        return await execute(key, load, key, source, fresh=fresh)

    async def many(
        self,
        keys: Iterable[Hashable],
        loader: BatchLoader[Any, Any],
        tags: frozenset[str],
        *,
        fresh: bool,
    ) -> dict[Any, Any]:
        """Return the values of keys, from memory or from flights; those that have none left out."""
        found: dict[Any, Any] = {}
        missed: list[Hashable] = []
        for key in keys:
            try:
                value = MISS if fresh else self._answers.ask(key, (loader.load, (key,), tags))
            except MissingKeyError:
                continue  # it is kept that there is none
            if value is MISS:
                missed.append(key)
            else:
                found[key] = value
        if missed:
            found |= await self._wait_many(missed, loader, tags, fresh=fresh)
        return found

    async def _wait_many(
        self,
        keys: Sequence[Hashable],
        loader: BatchLoader[Any, Any],
        tags: frozenset[str],
        *,
        fresh: bool,
    ) -> dict[Any, Any]:
        """Return the values of keys, of which some may have none."""
        self._counters.misses += len(keys)
        try:
            return await self._loading_many.load(keys, loader, tags, fresh=fresh)
        except Exception as exc:
            spares = self._instead_of(exc, keys, fresh=fresh)
            if spares is None:
                raise
            return spares

    def _instead_of(
        self, error: Exception, keys: Iterable[Hashable], *, fresh: bool
    ) -> dict[Any, Any] | None:
        """Return the values that are served in place of an error, if they may be."""
        if fresh or isinstance(error, NO_FAILURE):
            return None
        return self._answers.spares(keys)
