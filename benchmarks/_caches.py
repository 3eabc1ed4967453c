"""The rivals of the read-through cache, each behind the same door.

Each is used as its documentation says. Where it has an option for what is asked for here it is set;
where it has none the wish is ignored, and that shows in what is seen.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from random import Random
from types import TracebackType
from typing import Any, Self

from aiocache import cached_stampede, multi_cached  # type: ignore[import-untyped]
from async_lru import alru_cache
from cashews import Cache as CashewsCache
from cashews import with_exceptions

from anyflight import BatchLoader, ReadThroughCache
from benchmarks._backends import EVERYWHERE, ON_ASYNCIO
from benchmarks._cache import FOR_EVER, TAG, Cache, KeptError, Settings, Source
from benchmarks._crowd import Call
from benchmarks._dogpile import Dogpile
from benchmarks._rivals import RIVALS, Rival, Work

SEED = 1


class Anyflight(Cache):
    """Ours takes the function with each call."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self._cache = cache = ReadThroughCache[str, Any](
            ttl=settings.ttl,
            ttl_jitter=settings.jitter,
            stale_while_revalidate=settings.stale_while_revalidate,
            stale_if_error=settings.stale_if_error,
            refresh_ahead=1 if settings.early else 0,
            error_ttl={KeptError: settings.ttl} if settings.keeps_errors else {},
            max_entries=settings.max_entries,
        )
        self._loader = BatchLoader[str, Any](source.load_batch)
        load = source.load
        if settings.tags:
            self.get = lambda key: cache.get(key, load, key, tags=[TAG] if key[0] == "t" else ())
        else:
            self.get = lambda key: cache.get(key, load, key)

    async def invalidate(self, key: str) -> None:
        """Forget the value of a key."""
        await self._cache.invalidate(key)

    async def invalidate_tag(self) -> None:
        """Forget the values of all keys that have the tag."""
        await self._cache.invalidate_tag(TAG)

    def peek(self, key: str) -> Any:
        """Return what is there."""
        return self._cache.peek(key)

    def get_many(self, keys: Sequence[str]) -> Awaitable[Collection[Any]]:
        """Return the values of many keys."""
        return self._cache.get_many(keys, self._loader)

    async def __aenter__(self) -> Self:
        await self._cache.__aenter__()
        await self._loader.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self._loader.__aexit__(exc_type, exc_val, exc_tb)
        await self._cache.__aexit__(exc_type, exc_val, exc_tb)


class Cashews(Cache):
    """A family of decorators; each does one thing."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self._cache = CashewsCache()
        self._cache.setup("mem://", size=settings.max_entries)

        async def load(key: str) -> Any:
            return await source.load(key)

        decorated = self._decorator(settings, ())(load)
        tagged = self._decorator(settings, (TAG,))(load) if settings.tags else decorated
        self.get = lambda key: tagged(key) if key[0] == "t" else decorated(key)
        if not settings.tags:
            self.get = decorated

    def _decorator(self, settings: Settings, tags: tuple[str, ...]) -> Any:
        cache, ttl = self._cache, settings.ttl
        condition = with_exceptions(KeptError) if settings.keeps_errors else None
        decorate = partial(cache, ttl, condition=condition)
        if settings.jitter:
            draw = Random(SEED)  # noqa: S311 - as in `ReadThroughCache`
            least = 1 - settings.jitter
            decorate = partial(cache, lambda *_, **__: ttl * draw.uniform(least, 1))
        if settings.early:
            decorate = partial(cache.early, ttl)
        if window := settings.stale_while_revalidate:
            decorate = partial(cache.early, ttl + window, early_ttl=ttl)
        if window := settings.stale_if_error:
            decorate = partial(cache.soft, ttl + window, soft_ttl=ttl)
        return decorate(key="{key}", tags=tags)

    async def invalidate(self, key: str) -> None:
        """Forget the value of a key."""
        await self._cache.delete(key)

    async def invalidate_tag(self) -> None:
        """Forget the values of all keys that have the tag."""
        await self._cache.delete_tags(TAG)

    async def __aenter__(self) -> Self:
        await self._cache.init()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._cache.close()


class Aiocache(Cache):
    """A decorator with a lock, and another for many keys."""

    def __init__(self, source: Source, settings: Settings) -> None:
        # The lease is how long callers wait for the first: it must outlast what it protects.
        decorate = cached_stampede(lease=FOR_EVER, ttl=settings.ttl, key_builder=lambda _, key: key)

        async def load(key: str) -> Any:
            return await source.load(key)

        async def load_many(keys: list[str]) -> dict[str, Any]:
            return await source.load_batch(keys)

        self._decorated = self.get = decorate(load)
        self._many = multi_cached("keys", ttl=settings.ttl)(load_many)

    async def invalidate(self, key: str) -> None:
        """Forget the value of a key."""
        await self._decorated.cache.delete(key)

    def get_many(self, keys: Sequence[str]) -> Awaitable[Collection[Any]]:
        """Return the values of many keys; it has a cache of its own for them."""
        many: Awaitable[Collection[Any]] = self._many(keys)
        return many


class AsyncLru(Cache):
    """A decorator."""

    def __init__(self, source: Source, settings: Settings) -> None:
        least = settings.ttl * (1 - settings.jitter)
        jitter = settings.ttl - least if settings.jitter else None
        self._decorated = self.get = alru_cache(settings.max_entries, ttl=least, jitter=jitter)(
            source.load
        )

    async def invalidate(self, key: str) -> None:
        """Forget the value of a key."""
        self._decorated.cache_invalidate(key)


class AnyioLruCache(Cache):
    """A decorator."""

    def __init__(self, source: Source, settings: Settings) -> None:
        from anyio.functools import lru_cache  # noqa: PLC0415 - not in every version of anyio

        self._decorated = self.get = lru_cache(maxsize=settings.max_entries, ttl=settings.ttl)(
            source.load
        )

    async def invalidate(self, key: str) -> None:  # noqa: ARG002
        """Forget everything: it has no other way."""
        self._decorated.cache_clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A cache that a user could take instead; and anyflight's.

    :ivar make: makes one in front of a source
    :ivar package: the distribution that it comes from
    :ivar backends: where it runs
    """

    name: str
    make: Callable[[Source, Settings], Cache]
    package: str
    backends: frozenset[str] = ON_ASYNCIO


OURS = Kind(name="ReadThroughCache", make=Anyflight, package="anyflight", backends=EVERYWHERE)
KINDS = (
    OURS,
    Kind(name="cashews", make=Cashews, package="cashews"),
    Kind(name="aiocache", make=Aiocache, package="aiocache"),
    Kind(name="async-lru", make=AsyncLru, package="async-lru"),
    Kind(
        name="anyio lru_cache",
        make=AnyioLruCache,
        package="anyio",
        backends=EVERYWHERE if find_spec("anyio.functools") else frozenset(),
    ),
    Kind(name="dogpile.cache", make=Dogpile, package="dogpile.cache", backends=EVERYWHERE),
)


NOT_AMONG_RIVALS = tuple(
    kind for kind in KINDS if kind.name not in {rival.name for rival in RIVALS}
)
"""The others are the same libraries as there, and are as safe."""


def kinds_on(backend: str) -> tuple[Kind, ...]:
    """Return those that run on a back end; anyflight's is the first."""
    return tuple(kind for kind in KINDS if backend in kind.backends)


def as_rival(kind: Kind) -> Rival:
    """Return a cache as something that shares the work for a key."""

    @asynccontextmanager
    async def opened(work: Work) -> AsyncGenerator[Call, None]:
        async with kind.make(LoadsBy(work), Settings()) as cache:
            yield cache.get

    return Rival(name=kind.name, open=opened, package=kind.package, backends=kind.backends)


class LoadsBy:
    """A source that is one function."""

    def __init__(self, load: Work) -> None:
        self._load = load

    async def load(self, key: str) -> Any:
        """Load one."""
        return await self._load(key)

    async def load_batch(self, keys: Sequence[str]) -> dict[str, Any]:
        """Load many."""
        return {key: await self._load(key) for key in keys}
