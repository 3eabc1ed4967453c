"""What is compared: the ways in which processes can share executions, or not."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import coredis

from anyflight import Coalescer, ReadThroughCache
from anyflight.lease.valkey import ValkeyLease
from demo.theory import coalesced_rate
from fleet.rivals import KEPT, open_aiocache, open_cashews, open_cashews_lock, open_dogpile
from fleet.site import LeaseLog, Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from fleet.site import Lookup, Site

    Open: TypeAlias = Callable[[Site], AbstractAsyncContextManager[Lookup]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One way to share executions."""

    name: str
    """As the file has it, and the tables."""

    open: Open
    """Open it in one process; what it keeps, it keeps for the length of the block."""

    package: str
    """The distribution that it comes from."""

    settings: str
    """How it is used, and what was chosen."""

    across: bool = True
    """Whether it shares executions with other processes."""

    ttl: float = 10.0
    """Seconds after which a lease or a lock is over; for a lease, by default."""

    kept: float = 0.0
    """Seconds for which a value is kept; 0 if only calls get it that were made before it was."""

    def theory(self, *, arrivals_per_second: float, mean_seconds: float, processes: int) -> float:
        """Return how often one key is fetched per second, by all processes.

        Without a lease each process shares for itself what arrives there: L/N of the arrivals.
        """
        alone = 1 if self.across else processes
        return alone * coalesced_rate(
            arrivals_per_second=arrivals_per_second / alone,
            mean_seconds=mean_seconds,
            kept_seconds=self.kept,
        )

    def inside(self, counts: Mapping[str, int]) -> int:
        """Return how many of the server's commands were made by scripts, and not by a client.

        The server counts both alike. A script of a lease is made of nothing that a client of it
        sends. The locks of all the others are released by one that gets the key, and deletes it if
        it is theirs; and none of them deletes anything otherwise.
        """
        if self in OURS:
            return sum(counts.values()) - sum(counts.get(name, 0) for name in LEASE_SENDS)
        return counts.get("eval", 0) + counts.get("evalsha", 0) + counts.get("del", 0)


LEASE_SENDS = ("evalsha", "subscribe", "ping")


@asynccontextmanager
async def _locally(site: Site) -> AsyncIterator[Lookup]:
    async with Coalescer[int, Record](instruments=[site.flights]) as users:
        yield lambda user_id: users.execute(user_id, site.fetch, user_id)


@asynccontextmanager
async def _lease(site: Site) -> AsyncIterator[ValkeyLease[int]]:
    client = coredis.Redis(host=site.setting.host, port=site.setting.port)
    lease = ValkeyLease[int](
        client,
        namespace="users",
        ttl=site.setting.ttl,
        encode_key=str,
        instruments=[LeaseLog(site.flights)],
    )
    async with client, lease:
        yield lease


@asynccontextmanager
async def _with_lease(site: Site) -> AsyncIterator[Lookup]:
    async with _lease(site) as lease, Coalescer[int, Record](across=lease) as users:
        yield lambda user_id: users.execute(user_id, site.fetch, user_id)


@asynccontextmanager
async def _with_cache(site: Site) -> AsyncIterator[Lookup]:
    async with (
        _lease(site) as lease,
        ReadThroughCache[int, Record](ttl=KEPT, across=lease) as users,
    ):
        yield lambda user_id: users.get(user_id, site.fetch, user_id)


LOCAL = Strategy(
    name="local only",
    open=_locally,
    package="anyflight",
    settings="`Coalescer()` in each process",
    across=False,
)
LEASE = Strategy(
    name="lease",
    open=_with_lease,
    package="anyflight",
    settings="`Coalescer(across=ValkeyLease(client, namespace=..., ttl=10))`",
)
LEASE_AND_CACHE = Strategy(
    name="lease and cache",
    open=_with_cache,
    package="anyflight",
    settings="`ReadThroughCache(ttl=1, across=ValkeyLease(...))`",
    kept=KEPT,
)
STRATEGIES = (
    LOCAL,
    LEASE,
    LEASE_AND_CACHE,
    Strategy(
        name="aiocache",
        open=open_aiocache,
        package="aiocache",
        settings="`@cached_stampede(cache=Cache.REDIS, lease=2, ttl=1)`, whose lock is `RedLock`",
        ttl=2.0,
        kept=KEPT,
    ),
    Strategy(
        name="cashews",
        open=open_cashews,
        package="cashews",
        settings="`@cache(ttl=1)` over `@cache.locked(ttl=10, check_interval=0.01)` over "
        "`@cache(ttl=1)`",
        kept=KEPT,
    ),
    Strategy(
        name="cashews lock=True",
        open=open_cashews_lock,
        package="cashews",
        settings="`@cache(ttl=1, lock=True)`, which asks for the lock again and again without a "
        "pause, before it looks into the cache",
        kept=KEPT,
    ),
    Strategy(
        name="dogpile.cache",
        open=open_dogpile,
        package="dogpile.cache",
        settings="`dogpile.cache.redis` with `distributed_lock=True`, `thread_local_lock=False`, "
        "`lock_timeout=10`, `lock_sleep=0.01`, `expiration_time=1`, `redis_expiration_time=2`, in "
        "40 worker threads",
        kept=KEPT,
    ),
)
"""In the order in which they are run and shown."""

OURS = (LOCAL, LEASE, LEASE_AND_CACHE)
BY_NAME = {strategy.name: strategy for strategy in STRATEGIES}
