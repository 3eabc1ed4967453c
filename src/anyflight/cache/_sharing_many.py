"""Loading many keys for one call, across processes: each key is a flight, and has a lease."""

from __future__ import annotations

__all__ = ("SharingMany",)

from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Any

from anyio import create_task_group

from anyflight._errors import MissingKeyError
from anyflight._loader import BatchLoader

from ._loading import Source


class SharingMany:
    """Runs in the tasks of callers.

    The keys whose leases are won here are loaded together, by the loader; what others load is
    waited for. Unlike those of `LoadingMany`, these flights are those of ``get``.

    :param fly: waits for the flight of one key
    """

    __slots__ = ("_fly",)

    def __init__(self, fly: Callable[[Hashable, Source, bool], Awaitable[Any]]) -> None:
        self._fly = fly

    async def load(
        self,
        keys: Sequence[Hashable],
        loader: BatchLoader[Any, Any],
        tags: frozenset[str],
        *,
        fresh: bool,
    ) -> dict[Any, Any]:
        """Return the values for these keys; some have none."""
        found: dict[Any, Any] = {}
        failed: dict[Hashable, Exception] = {}
        func = partial(loader.load, fresh=fresh)

        async def load(key: Hashable) -> None:
            try:
                found[key] = await self._fly(key, (func, (key,), tags), fresh)
            except MissingKeyError:
                pass
            except Exception as exc:  # noqa: BLE001 - the first in the order of the keys is raised
                failed[key] = exc

        async with create_task_group() as tasks:
            for key in keys:
                tasks.start_soon(load, key)
        try:
            for key in keys:
                if key in failed:
                    raise failed[key]
        finally:
            failed.clear()  # whose tracebacks lead here
        return found
