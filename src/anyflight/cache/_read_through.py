"""The cache: a thin shell around its two tiers and its flights."""

from __future__ import annotations

__all__ = ("ReadThroughCache",)

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from sys import get_asyncgen_hooks
from types import MappingProxyType, TracebackType
from typing import Any, Final, Literal, Self, TypeVar, TypeVarTuple, Unpack, overload
from weakref import WeakSet

from anyio import CapacityLimiter

from anyflight._across import check_across
from anyflight._checks import (
    check_callable,
    check_count,
    check_hashable,
    check_instance,
    checked_keys,
)
from anyflight._events import Instrument
from anyflight._loader import BatchLoader
from anyflight.lease import Lease

from ._answers import MISS, Answers
from ._checks import checked_tags
from ._first_tier import FirstTier
from ._flights import Flights
from ._lifetimes import Lifetimes
from ._memory import Memory
from ._misses import Misses
from ._statistics import CacheStatistics, Counters
from ._store import CacheStore
from ._tiers import tiers
from ._writing import Writing

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
D = TypeVar("D")
E = TypeVar("E", bound=Exception)
Ts = TypeVarTuple("Ts")

#: An entry leaves, though nobody asks for it, when this part of the longest time for which things
#: are kept has passed after it was of use for the last time, or a millisecond; or later, if none
#: come.
SPAN: Final = 1 / 64
SHORTEST_SPAN: Final = 0.001
NO_ERRORS: Final[Mapping[Any, float]] = MappingProxyType({})


class ReadThroughCache(Writing[K, V]):
    """Checks the cache; lets the calls that miss share one execution of the work; fills the cache.

    .. code-block:: python

        import anyio
        from anyflight import ReadThroughCache

        async def fetch_user(user_id: int) -> str:
            await anyio.sleep(0.01)
            return f"User {user_id}"

        async def main() -> None:
            async with ReadThroughCache[int, str](ttl=60) as users:
                async with anyio.create_task_group() as tasks:
                    for _ in range(200):
                        tasks.start_soon(users.get, 42, fetch_user, 42)
                assert await users.get(42, fetch_user, 42) == "User 42"
            assert users.statistics().coalescing.flights == 1
            assert users.statistics().hits == 1

        anyio.run(main)

    Open it with ``async with``, as a :class:`Coalescer`: what is said there of the block, of event
    loops and of threads holds here. When it is closed it forgets what it has in memory. Times are
    seconds of the event loop's clock.

    :param ttl: for how long a value is fresh; may be infinite
    :param max_entries: how many entries there may be in memory. One that is thrown out for another
        is one that has not been asked for lately
    :param ttl_jitter: by which part of itself, from 0 to 1, ``ttl`` is shortened at most. Each
        value gets a lifetime of its own, uniformly distributed between ``ttl * (1 - ttl_jitter)``
        and ``ttl``, so that what was filled at once does not expire at once
    :param stale_while_revalidate: for how long after that a value is served still, while a flight
        in the background fetches the next one (RFC 5861)
    :param stale_if_error: for how long after its lifetime a value is served in place of an error
        (RFC 5861): of any :exc:`Exception` that the call would get, :exc:`FlightTimeoutError` and
        :exc:`TooManyWaitersError` included, but for :exc:`DeadlockError` and for
        :exc:`MissingKeyError`, which is an answer. A fresh call gets the error
    :param refresh_ahead: how eagerly a value that is in demand is fetched anew before it expires,
        in the background. 0 is never; 1 is the optimum of Vattani et al., "Optimal Probabilistic
        Cache Stampede Prevention" (VLDB 2015); what is above is more eager. The longer the work
        takes, the earlier it begins
    :param error_ttl: which errors of the work are kept, and for how long: the first class that
        matches counts. Meanwhile each call gets a copy of the error, or the value that
        ``stale_if_error`` allows, and nothing is asked
    :param store: a second tier, which is asked by flights before the work, and filled after it. If
        it fails, calls do not fail with it
    :param across: the lease that flights go through, see :class:`Coalescer`: what one process loads
        is stored on its server for all, and an invalidation reaches all
    :param copy: called with a value for each who gets it from this cache, and for what `set` is
        given, since the original stays here. For values that callers change
    :param name: see :class:`Coalescer`, as for all other options. A flight in the background counts
        as having one waiter
    :raises TypeError: if an argument is of the wrong type
    :raises ValueError: if one is out of its range
    """

    def __init__(  # noqa: PLR0913 - policies are independent of each other
        self,
        *,
        ttl: float,
        max_entries: int = 10_000,
        ttl_jitter: float = 0,
        stale_while_revalidate: float = 0,
        stale_if_error: float = 0,
        refresh_ahead: float = 0,
        error_ttl: Mapping[type[E], float] = NO_ERRORS,
        store: CacheStore[K, V] | None = None,
        across: Lease[K] | None = None,
        copy: Callable[[V], V] | None = None,
        name: str = "cache",
        on_abandon: Literal["cancel", "finish"] = "cancel",
        retry_on: type[Exception] | tuple[type[Exception], ...] = (),
        flight_timeout: float | None = None,
        max_join_age: float | None = None,
        max_waiters: int | None = None,
        limiter: CapacityLimiter | None = None,
        context: Literal["caller", "owner"] = "caller",
        instruments: Iterable[Instrument] = (),
    ) -> None:
        lifetimes = Lifetimes(
            ttl=ttl,
            ttl_jitter=ttl_jitter,
            stale_while_revalidate=stale_while_revalidate,
            stale_if_error=stale_if_error,
            refresh_ahead=refresh_ahead,
            error_ttl=error_ttl,
        )
        check_count(max_entries, "max_entries", optional=False)
        if across is not None:
            check_across(across, max_join_age)
        if copy is not None:
            check_callable(copy, "copy")
        self._flights: Flights[Any, Any] = Flights(
            name=name,
            on_abandon=on_abandon,
            retry_on=retry_on,
            flight_timeout=flight_timeout,
            max_join_age=max_join_age,
            max_waiters=max_waiters,
            limiter=limiter,
            context=context,
            instruments=instruments,
        )
        self._owner = self._flights.owner
        self._copy = copy
        self._memory = Memory(max_entries, max(lifetimes.longest * SPAN, SHORTEST_SPAN))
        self._lookup = self._memory.entries.get
        counters = self._counters = Counters()
        label = self._owner.label
        first = self._first = FirstTier(self._memory, lifetimes, counters)
        second, loading, self._hearing = tiers(
            store, across, first, label, self._forget, self._forget_all, self._loading_now
        )
        self._second, self._loading = second, loading
        self._answers = Answers(first, self._flights, loading)
        self._misses = Misses(first, second, self._flights, loading, self._answers)
        self._loaders = WeakSet()

    def __repr__(self) -> str:
        return f"<{self._owner}, {len(self._memory)} entries>"

    async def __aenter__(self) -> Self:
        """Open the cache: this task owns the flights until it leaves the block."""
        if self._hearing is not None:
            self._hearing.open()  # or raise, before anything is open
        await self._flights.__aenter__()
        self._first.open()
        self._now = self._first.now
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        """Close the cache: refuse new calls, wait until all flights have landed, and forget."""
        self._owner.check_entered()
        try:
            return await self._flights.__aexit__(exc_type, exc_val, exc_tb)
        finally:
            self._first.close()
            self._loaders.clear()
            if self._hearing is not None:
                self._hearing.close()
            del exc_val, exc_tb  # whose frames may lead here

    async def get(
        self,
        key: K,
        func: Callable[[Unpack[Ts]], Awaitable[V]],
        *args: Unpack[Ts],
        fresh: bool = False,
        tags: Iterable[str] = (),
    ) -> V:
        """Return the value that is kept for ``key``, or that of ``func(*args)``.

        A value that is kept and may be served is returned at once; that is no checkpoint. Else this
        call waits for a flight, as in :meth:`Coalescer.execute`, and what is said there of the
        function, of cancellation and of errors, those of other processes too, holds.

        Of the calls that share a flight, the function, the arguments and the tags of the one that
        started it are used: so give those of a key alike. The function of a call that is answered
        with an old value may be used too, in a flight in the background.

        :param key: says which calls may share a value; compared as ``dict`` does
        :param func: an async function, or another callable that returns an awaitable
        :param args: its positional arguments
        :param fresh: take no value from the cache, nor a result from before this call was made,
            as in :meth:`Coalescer.execute`; what comes is kept in place of what there was
        :param tags: what `invalidate_tag` finds the value by
        :raises Exception: what the function raised, or a copy of an error that is kept
        :raises anyio.ClosedResourceError: if the cache is closing or closed
        :raises RuntimeError: if it was never opened, or was opened in another event loop or thread
        :raises TypeError: if an argument is of the wrong type
        """
        if not callable(func) or get_asyncgen_hooks()[0] is not self._owner.hook:
            check_callable(func, "func")
            await self._owner.admit()
        if fresh:
            check_hashable(key)
            self._forget_loads(key)  # or a `get_many` could keep one from before this call after it
        else:
            try:
                entry = self._lookup(key)
            except TypeError:
                check_hashable(key)
                raise
            if entry is not None:
                entry.used = True
                now = self._now()
                if now < entry.calm_until:
                    self._counters.hits += 1
                    value: V = entry.value
                    return value if self._copy is None else self._copy(value)
                value = self._answers.aged(key, entry, now, (func, args, checked_tags(tags)))
                if value is not MISS:
                    return self._handed_out(value)
        source = (func, args, checked_tags(tags))
        return self._handed_out(await self._misses.wait(key, source, fresh=fresh))

    async def get_many(
        self,
        keys: Iterable[K],
        loader: BatchLoader[K, V],
        *,
        fresh: bool = False,
        tags: Iterable[str] = (),
    ) -> dict[K, V]:
        """Return the values for ``keys``, in their order; those that have none are left out.

        What memory can answer is answered from there, as in `get`; all other keys are loaded
        together, and are kept like what `get` loads. If nothing is missing, this is no checkpoint.

        A key that the loader is loading, for another call of this method or for one of its own, is
        joined there. A `get` with another function for the same key does load it. An invalidation
        is passed on to the loaders that were given to this method, so that nothing older is joined.

        If this call is cancelled, it leaves, as in `get`; keys that nobody else waits for are
        loaded no further, and not kept.

        :param loader: see :class:`BatchLoader`; it must be open. What bounds flights of this cache,
            such as ``limiter``, does not bound what the loader does, but with ``across``
        :param fresh: take no value from the cache, nor one that was read before this call was made
        :param tags: as in `get`, for every key that is loaded
        :raises Exception: the first error that the loader has in the order of the keys, when all of
            them have been loaded, or one that is kept. What ``stale_if_error`` allows is served if
            there is such a value for each key that was to be loaded
        :raises anyio.ClosedResourceError: if the cache or the loader is closing or closed
        :raises RuntimeError: if one was never opened, or was opened in another event loop or thread
        :raises TypeError: if an argument is of the wrong type
        """
        check_instance(loader, "loader", BatchLoader)
        if get_asyncgen_hooks()[0] is not self._owner.hook:
            await self._owner.admit()
        distinct = checked_keys(keys)
        # With a lease a flight that was not begun by this call may load them, and join what runs.
        self._get_to_know(loader, distinct if fresh and self._hearing is not None else ())
        found = await self._misses.many(distinct, loader, checked_tags(tags), fresh=fresh)
        return {key: self._handed_out(found[key]) for key in distinct if key in found}

    @overload
    def peek(self, key: K) -> V | None: ...
    @overload
    def peek(self, key: K, default: D) -> V | D: ...
    def peek(self, key: K, default: Any = None) -> Any:
        """Return the value that `get` would answer with without waiting, else ``default``.

        It looks into memory alone, and leaves no trace: nothing is counted, refreshed, or kept for
        longer. An error that is kept is no value.

        :raises anyio.ClosedResourceError: if the cache is closed
        :raises RuntimeError: as `get`; outside of a task, too
        :raises TypeError: if the key is unhashable
        """
        self._check(key)
        value = self._answers.peek(key)
        return default if value is MISS else self._handed_out(value)

    def statistics(self) -> CacheStatistics:
        """Return the counters, and what is there now; see :meth:`Coalescer.statistics`."""
        return self._counters.statistics(
            evicted=self._memory.evicted,
            entries=len(self._memory),
            coalescing=self._flights.statistics(),
        )
