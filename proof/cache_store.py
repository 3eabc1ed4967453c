"""A store for the caches under proof: honest, but slow, and it may fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from anyflight import StoredValue
from proof.cache_plans import Shelving
from proof.history import Result
from proof.stage import wait


class ShelfError(Exception):
    """With which a method fails."""


class Shelf:
    """Tells the age of a value exactly: it counts from the call of `set`."""

    def __init__(self, plan: Shelving, clock: Callable[[], float]) -> None:
        self.plan = plan
        self.kept: dict[str, tuple[StoredValue[Result], float]] = {}
        self._clock = clock
        self._calls: Counter[str] = Counter()

    async def get(self, key: str) -> StoredValue[Result] | None:
        """Return what is kept."""
        async with self._called("get"):
            found = self.kept.get(key)
        if found is None:
            return None
        stored, since = found
        return replace(stored, age=self._clock() - since)

    async def set(self, key: str, stored: StoredValue[Result], *, keep: float) -> None:  # noqa: ARG002 - it keeps everything
        """Keep a value."""
        since = self._clock()
        await wait(self.plan.before)  # it takes longer, so that others are done before
        async with self._called("set"):
            self.kept[key] = stored, since

    async def delete(self, key: str) -> None:
        """Forget what is kept for a key."""
        async with self._called("delete"):
            self.kept.pop(key, None)

    async def delete_tag(self, tag: str) -> None:
        """Forget what has a tag."""
        async with self._called("delete_tag"):
            self.kept = {key: each for key, each in self.kept.items() if tag not in each[0].tags}

    async def clear(self) -> None:
        """Forget everything."""
        async with self._called("clear"):
            self.kept.clear()

    @asynccontextmanager
    async def _called(self, method: str) -> AsyncGenerator[None]:
        """Have the effect of a call in the block."""
        self._calls[method] += 1
        await wait(self.plan.before)
        if method in self.plan.failing and self._calls[method] % 2:
            raise ShelfError(method)
        yield
        await wait(self.plan.after)
