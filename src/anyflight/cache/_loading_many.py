"""Loading many keys for one call: look into the store, load the rest together, fill all."""

from __future__ import annotations

__all__ = ("LoadingMany",)

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Final, TypeVar

from anyio import create_task_group

from anyflight._errors import MissingKeyError
from anyflight._loader import BatchLoader

from ._answers import MISS, Answers
from ._first_tier import FirstTier
from ._generations import Ticket
from ._loading import Loading
from ._second_tier import SecondTier
from ._store import StoredValue

T = TypeVar("T")

#: How many keys of one call a store is asked for at once.
AT_ONCE: Final = 32


class LoadingMany:
    """Runs in the tasks of callers: it is the loader whose flights they share.

    A flight here would have to wait for those, holding a token of the limiter.
    """

    __slots__ = ("_answers", "_first", "_loading", "_second")

    def __init__(
        self, first: FirstTier, second: SecondTier | None, loading: Loading, answers: Answers
    ) -> None:
        self._first = first
        self._answers = answers
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
        """Return what is stored for these keys; the store is asked for some of them at a time."""
        found: dict[Any, Any] = {}

        async def find(key: Hashable) -> None:
            stored = await self._loading.find(key)
            if stored is not None:
                found[key] = stored.value

        await _for_each(find, keys)
        for key in keys:
            if key not in found:
                value = self._answers.peek(key)  # others may have loaded it meanwhile
                if value is not MISS:
                    found[key] = value
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
            results = await loader.load_each(keys, fresh=fresh)
            await self._fill(tickets, results, first.now() - began, tags)
        finally:
            for ticket in tickets:
                first.generations.give_back(ticket)
        errors = {key: each for key, each in results.items() if is_error(each)}
        failed = next((e for e in errors.values() if not isinstance(e, MissingKeyError)), None)
        if failed is None:
            return {key: value for key, value in results.items() if key not in errors}
        try:
            raise failed
        finally:
            del results, errors, failed  # whose tracebacks lead here

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
        self, tickets: Sequence[Ticket], results: dict[Any, Any], cost: float, tags: frozenset[str]
    ) -> None:
        """Keep what was loaded, and the errors that are to be kept; all at once in memory."""
        first = self._first
        filled: list[tuple[Ticket, StoredValue[Any]]] = []
        for ticket in tickets:
            result = results[ticket.key]
            if is_error(result):
                first.fail(ticket, result, tags)
                continue
            stored = first.new_value(result, cost, tags)
            if first.fill(ticket, stored):
                filled.append((ticket, stored))
        if self._second is None:
            return
        second = self._second

        async def store(each: tuple[Ticket, StoredValue[Any]]) -> None:
            await self._loading.store(second, *each)

        await _for_each(store, filled)


async def _for_each(func: Callable[[T], Awaitable[None]], things: Sequence[T]) -> None:
    """Call an async function with each thing, for `AT_ONCE` of them at a time."""
    rest = iter(things)

    async def work() -> None:
        for thing in rest:
            await func(thing)

    async with create_task_group() as tasks:
        for _ in range(min(len(things), AT_ONCE)):
            tasks.start_soon(work)


def is_error(result: Any) -> bool:
    """Whether a loader has returned an error for a key; by its type, as the loader tells too."""
    return issubclass(type(result), Exception)
