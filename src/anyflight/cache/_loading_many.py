"""The work of a flight for many keys: look into the store, load the rest together, fill all."""

from __future__ import annotations

__all__ = ("LoadingMany", "ManyKeys")

from collections.abc import Hashable, Sequence
from typing import Any

from anyio import create_task_group

from anyflight._loader import BatchLoader
from anyflight._outcome import Missing

from ._first_tier import FirstTier
from ._generations import Ticket
from ._loading import Loading
from ._second_tier import SecondTier
from ._store import StoredValue

MISSING = Missing()


class ManyKeys:
    """The key of a flight for the keys that one call misses; no other call joins it."""

    __slots__ = ("_count",)

    def __init__(self, count: int) -> None:
        self._count = count

    def __repr__(self) -> str:
        return f"<get_many of {self._count} keys>"


class LoadingMany:
    """Runs in leaders, as `Loading` does."""

    __slots__ = ("_first", "_loading", "_second")

    def __init__(self, first: FirstTier, second: SecondTier | None, loading: Loading) -> None:
        self._first = first
        self._second = second
        self._loading = loading

    async def load(
        self,
        keys: Sequence[Hashable],
        loader: BatchLoader[Any, Any],
        tags: frozenset[str],
        *,
        fresh: bool,
    ) -> dict[Any, Any]:
        """Return the values for these keys, from the store or from the loader; some have none."""
        found = {} if fresh or self._second is None else await self._find(keys)
        rest = [key for key in keys if key not in found]
        if rest:
            found |= await self._load(rest, loader, tags, fresh=fresh)
        return found

    async def _find(self, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return what is stored for these keys; the store is asked for all of them at once."""
        found: dict[Any, Any] = {}

        async def find(key: Hashable) -> None:
            stored = await self._loading.find(key)
            if stored is not None:
                found[key] = stored.value

        async with create_task_group() as tasks:
            for key in keys:
                tasks.start_soon(find, key)
        return found

    async def _load(
        self,
        keys: Sequence[Hashable],
        loader: BatchLoader[Any, Any],
        tags: frozenset[str],
        *,
        fresh: bool,
    ) -> dict[Any, Any]:
        first = self._first
        began = first.now()
        tickets = [self._take(key, loader, tags, began, fresh=fresh) for key in keys]
        try:
            values = await loader.load_many(keys, fresh=fresh)
            await self._fill(tickets, values, first.now() - began, tags)
        finally:
            for ticket in tickets:
                first.generations.give_back(ticket)
        return values

    def _take(
        self,
        key: Hashable,
        loader: BatchLoader[Any, Any],
        tags: frozenset[str],
        now: float,
        *,
        fresh: bool,
    ) -> Ticket:
        """Take a ticket for what the loader is about to be asked for; it may have begun before."""
        generations = self._first.generations
        began = None if fresh else loader._running_since(key)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - of this package
        if began is None:
            return generations.take(key, tags, now)
        return generations.take_late(key, tags, began)

    async def _fill(
        self, tickets: Sequence[Ticket], values: dict[Any, Any], cost: float, tags: frozenset[str]
    ) -> None:
        """Keep what was loaded, and forget what there is nothing for; all at once in memory."""
        first = self._first
        filled: list[tuple[Ticket, StoredValue[Any]]] = []
        for ticket in tickets:
            if ticket.key not in values:
                first.fail(ticket, MISSING.to_raise(ticket.key, alone=True), tags)
                continue
            stored = first.new_value(values[ticket.key], cost, tags)
            if first.fill(ticket, stored):
                filled.append((ticket, stored))
        if self._second is None:
            return
        async with create_task_group() as tasks:
            for ticket, stored in filled:
                tasks.start_soon(self._loading.store, self._second, ticket, stored)
