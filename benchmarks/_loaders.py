"""The rivals of the batch loader, each behind the same door.

Each is used as its documentation says. Where it has an option that is asked for here it is set;
where it has none, the wish is ignored, and that shows in what is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence, Sized
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from aiodataloader import DataLoader as AioDataLoader
from batchlet import AsyncBatcher, BatchPolicy
from cache import AsyncCache  # type: ignore[import-untyped]
from dloader import DataLoader as DLoader
from strawberry.dataloader import DataLoader as StrawberryDataLoader

from anyflight import BatchLoader
from benchmarks._backends import EVERYWHERE, ON_ASYNCIO
from benchmarks._crowd import Call
from benchmarks._rivals import Rival, Work

LoadBatch = Callable[[list[str]], Coroutine[Any, Any, dict[str, Any]]]
"""Loads the values of some keys; a value that is an exception is the error of its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a loader is asked to do.

    :ivar size: the most keys of a batch
    :ivar delay: the seconds for which a batch waits for more keys
    :ivar concurrent: the most batches that run at once
    :ivar remember: whether values may be kept after their batch has landed
    """

    size: int = 1_000
    delay: float = 0
    concurrent: int = 4
    remember: bool = True


class Loads(Protocol):
    """A loader. It is open within `async with`; some need no opening."""

    def load(self, key: str) -> Awaitable[Any]:
        """Load one key."""

    def load_many(self, keys: Sequence[str]) -> Awaitable[Sized]:
        """Load many keys."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None: ...


class _NeedsNoOpening:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def in_order(load_batch: LoadBatch) -> Callable[[Sequence[str]], Coroutine[Any, Any, list[Any]]]:
    """Return what those rivals take that want a list in the order of the keys."""

    async def load_list(keys: Sequence[str]) -> list[Any]:
        found = await load_batch(list(keys))
        return [found[key] for key in keys if key in found]

    return load_list


def _anyflight(load_batch: LoadBatch, settings: Settings) -> Loads:
    return BatchLoader[str, Any](
        load_batch,
        max_batch_size=settings.size,
        max_delay=settings.delay,
        max_concurrent_batches=settings.concurrent,
    )


class _Aiodataloader(_NeedsNoOpening, AioDataLoader[str, Any]):
    """Its batches have no bound, and wait for nobody."""


def _aiodataloader(load_batch: LoadBatch, settings: Settings) -> Loads:
    return _Aiodataloader(
        in_order(load_batch), max_batch_size=settings.size, cache=settings.remember
    )


class _Strawberry(_NeedsNoOpening, StrawberryDataLoader[str, Any]):
    """Its batches have no bound, and wait for nobody."""


def _strawberry(load_batch: LoadBatch, settings: Settings) -> Loads:
    return _Strawberry(in_order(load_batch), max_batch_size=settings.size, cache=settings.remember)


def _dloader(load_batch: LoadBatch, settings: Settings) -> Loads:
    return DLoader[str, Any](
        in_order(load_batch), max_batch_size=settings.size, cache=settings.remember
    )


class _AsyncCache(_NeedsNoOpening):
    """A cache whose miss is loaded in a batch. It has no call for many keys."""

    def __init__(self, load_batch: LoadBatch, settings: Settings) -> None:
        cache = AsyncCache(
            maxsize=None,
            default_ttl=None if settings.remember else 0,
            batch_window_ms=settings.delay * 1000,
            max_batch_size=settings.size,
        )
        self.load = partial(cache.get, batch_loader=load_batch)

    async def load_many(self, keys: Sequence[str]) -> Sized:
        return await all_of(self.load, keys)


class _Batchlet:
    """A queue of items that are worked on in batches: it does not look whether two are equal."""

    def __init__(self, load_batch: LoadBatch, settings: Settings) -> None:
        self._batcher = AsyncBatcher[str, Any](
            in_order(load_batch),
            policy=BatchPolicy(max_items=settings.size),
            max_wait_ms=settings.delay * 1000,
            max_pending_items=10**6,
            max_concurrent_batches=settings.concurrent,
        )
        self.load = self._batcher.submit

    async def load_many(self, keys: Sequence[str]) -> Sized:
        return await all_of(self.load, keys)

    async def __aenter__(self) -> Self:
        await self._batcher.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._batcher.__aexit__(*exc_info)


async def all_of(load: Callable[[str], Awaitable[Any]], keys: Sequence[str]) -> Sized:
    """Load many keys as the users of a loader do that has no call for it."""
    return await asyncio.gather(*map(load, keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """A loader that a user could take instead; and anyflight's.

    :ivar make: makes one for a function that loads batches
    :ivar package: the distribution that it comes from
    :ivar backends: where it runs
    """

    name: str
    make: Callable[[LoadBatch, Settings], Loads]
    package: str
    backends: frozenset[str] = ON_ASYNCIO


OURS = Loader(name="BatchLoader", make=_anyflight, package="anyflight", backends=EVERYWHERE)
LOADERS = (
    OURS,
    Loader(name="aiodataloader", make=_aiodataloader, package="aiodataloader"),
    Loader(name="strawberry", make=_strawberry, package="strawberry-graphql"),
    Loader(name="dloader", make=_dloader, package="dloader"),
    Loader(name="async-cache", make=_AsyncCache, package="async-cache"),
    Loader(name="batchlet", make=_Batchlet, package="batchlet"),
)


def loaders_on(backend: str) -> tuple[Loader, ...]:
    """Return those that run on a back end; anyflight's is the first."""
    return tuple(loader for loader in LOADERS if backend in loader.backends)


def as_rival(loader: Loader) -> Rival:
    """Return a loader as something that shares the work for a key, one key in a batch."""

    @asynccontextmanager
    async def opened(work: Work) -> AsyncGenerator[Call, None]:
        async def load_batch(keys: list[str]) -> dict[str, Any]:
            return {key: await work(key) for key in dict.fromkeys(keys)}

        async with loader.make(load_batch, Settings()) as loads:
            yield loads.load

    return Rival(name=loader.name, open=opened, package=loader.package, backends=loader.backends)
