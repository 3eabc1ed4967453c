"""Other libraries that share executions across processes, each used as its documentation shows.

All of them share by a value that one call leaves on the server for the others: so it is kept there
for some time, and calls that come later get it as well. None of them renews a lock. They need
asyncio, or threads.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiocache import Cache as AiocacheCache  # type: ignore[import-untyped]
from aiocache import cached_stampede
from anyio import CapacityLimiter, from_thread, to_thread
from cashews import Cache as CashewsCache
from dogpile.cache import make_region
from redis.asyncio import BlockingConnectionPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleet.site import Lookup, Record, Site

KEPT = 1
"""Seconds for which a value is kept: the least that aiocache and dogpile.cache document."""

AGE = 2
"""Seconds after which the server forgets a value of dogpile.cache.

Its documentation asks for more than `KEPT`; what is older than that, calls get while another call
makes the next.
"""

PAUSE = 0.01
"""Seconds from one look at a lock to the next, where they can be chosen."""

THREADS = 40
"""The worker threads that anyio, asyncio and Trio have by default, or about that."""


@asynccontextmanager
async def open_aiocache(site: Site) -> AsyncIterator[Lookup]:
    """Open aiocache's `cached_stampede`."""

    @cached_stampede(  # type: ignore[untyped-decorator]
        cache=AiocacheCache.REDIS,
        endpoint=site.setting.host,
        port=site.setting.port,
        connection_pool_class=BlockingConnectionPool,
        namespace="users",
        key_builder=lambda _func, user_id: str(user_id),
        lease=site.setting.ttl,
        ttl=KEPT,
    )
    async def get(user_id: int) -> Record:
        return await site.fetch(user_id)

    try:
        yield get
    finally:
        # Its own close() leaves the connections of a pool that it was given.
        await get.cache.client.connection_pool.disconnect()


@asynccontextmanager
async def open_cashews(site: Site) -> AsyncIterator[Lookup]:
    """Open cashews' `locked` below a cache, and over one, which is asked again under the lock."""
    async with _cashews(site) as cache:

        @cache(ttl=KEPT, key="user:{user_id}")
        @cache.locked(ttl=site.setting.ttl, key="user:{user_id}", check_interval=PAUSE)
        @cache(ttl=KEPT, key="user:{user_id}", protected=False)
        async def get(user_id: int) -> Record:
            return await site.fetch(user_id)

        yield get


@asynccontextmanager
async def open_cashews_lock(site: Site) -> AsyncIterator[Lookup]:
    """Open cashews' `cache(lock=True)`, whose lock lasts as long as a value."""
    async with _cashews(site) as cache:

        @cache(ttl=KEPT, key="user:{user_id}", lock=True)
        async def get(user_id: int) -> Record:
            return await site.fetch(user_id)

        yield get


@asynccontextmanager
async def _cashews(site: Site) -> AsyncIterator[CashewsCache]:
    cache = CashewsCache()
    cache.setup(f"redis://{site.setting.host}:{site.setting.port}")
    await cache.init()
    try:
        yield cache
    finally:
        await cache.close()


@asynccontextmanager
async def open_dogpile(site: Site) -> AsyncIterator[Lookup]:
    """Open dogpile.cache, which is synchronous: each call holds a worker thread while it lasts."""
    region = make_region().configure(
        "dogpile.cache.redis",
        expiration_time=KEPT,
        arguments={
            "host": site.setting.host,
            "port": site.setting.port,
            "redis_expiration_time": AGE,
            "distributed_lock": True,
            "thread_local_lock": False,
            "lock_timeout": site.setting.ttl,
            "lock_sleep": PAUSE,
        },
    )
    limiter = CapacityLimiter(THREADS)

    async def get(user_id: int) -> Any:
        def create() -> Record:
            return from_thread.run(site.fetch, user_id)

        return await to_thread.run_sync(region.get_or_create, str(user_id), create, limiter=limiter)

    try:
        yield get
    finally:
        region.backend.writer_client.close()
