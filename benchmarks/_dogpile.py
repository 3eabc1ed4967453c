"""How one uses dogpile.cache, which is synchronous, from asynchronous code: in worker threads.

A call waits for a thread, in which dogpile looks into its cache, waits for its mutex, or has the
value created; and that thread waits until the event loop has loaded it. So each call holds a
thread for as long as it waits, of which there are 40, and a hit costs a trip to one and back.

The mutexes and the calls are counted here, so that a probe knows when every thread waits.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from time import sleep
from typing import Any, Self

from anyio import CapacityLimiter, from_thread, to_thread
from anyio.lowlevel import checkpoint, current_token
from dogpile.cache import CacheRegion, make_region
from dogpile.cache.api import NO_VALUE
from dogpile.cache.proxy import ProxyBackend

from benchmarks._cache import Cache, Settings, Source

THREADS = 40
"""The worker threads that anyio, asyncio and Trio have by default, or about that."""
A_MOMENT = 0.0001


class Threads:
    """Calls in threads, and which of them wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0
        self.waiting = 0
        self.changes = 0
        self._limiter = CapacityLimiter(THREADS)

    async def call(self, func: Callable[[], Any]) -> Any:
        """Call a function in a thread. If this is cancelled the thread goes on."""
        job = _Job(self, func)
        try:
            return await to_thread.run_sync(job.run, abandon_on_cancel=True, limiter=self._limiter)
        finally:
            job.left()

    def start(self, func: Callable[[], Any]) -> None:
        """Call a function in a thread of its own."""
        threading.Thread(target=_Job(self, func).run_alone, daemon=True).start()

    async def wait_here(self, func: Callable[[Any], Awaitable[Any]], argument: Any) -> Any:
        """Await something for which a thread waits. To be called in the event loop."""
        self.count_waiting(1)
        try:
            return await func(argument)
        finally:
            self.count_waiting(-1)

    def count_waiting(self, more: int) -> None:
        """Count a thread that waits, or one that goes on."""
        with self.lock:
            self.waiting += more
            self.changes += 1

    async def rest(self) -> int:
        """Wait until every thread waits, and every call; return how often they went on."""
        while self.calls > self.waiting + self._limiter.statistics().tasks_waiting:
            sleep(A_MOMENT)  # the threads need the interpreter
            await checkpoint()
        return self.changes


class _Job:
    """A call counts until both have ended, the thread and who waits for it."""

    def __init__(self, threads: Threads, func: Callable[[], Any]) -> None:
        self._threads = threads
        self._func = func
        self._ends = 1  # that of who waits
        with threads.lock:
            threads.calls += 1

    def run(self) -> Any:
        """Run it in a thread."""
        with self._threads.lock:
            if not self._ends:  # it has been left meanwhile
                self._threads.calls += 1
            self._ends += 1
        try:
            return self._func()
        finally:
            self._end()

    def run_alone(self) -> None:
        """Run it where nobody waits."""
        try:
            self._func()
        finally:
            self._end()

    def left(self) -> None:
        """Note that nobody waits any more."""
        self._end()

    def _end(self) -> None:
        with self._threads.lock:
            self._ends -= 1
            if not self._ends:
                self._threads.calls -= 1


class Mutex:
    """What dogpile uses by default, a lock; which counts who waits for it."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._freed = threading.Condition(threads.lock)
        self._taken = False
        self._waiting = 0

    def acquire(self, wait: bool = True) -> bool:  # noqa: FBT002 - as dogpile calls it
        """Take it."""
        with self._freed:
            while self._taken:
                if not wait:
                    return False
                self._waiting += 1
                self._threads.waiting += 1
                self._freed.wait()
            self._taken = True
            return True

    def release(self) -> None:
        """Let another have it, who does not wait from now on."""
        with self._freed:
            self._taken = False
            if self._waiting:
                self._waiting -= 1
                self._threads.waiting -= 1
                self._freed.notify()

    def locked(self) -> bool:
        """Whether somebody has it."""
        return self._taken


class Dogpile(Cache):
    """A region in memory. A value that has expired is served while one thread has the next made."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self._threads = threads = Threads()
        self._source = source

        class Counted(ProxyBackend):
            def get_mutex(self, key: str) -> Any:  # noqa: ARG002 - each has its own
                return Mutex(threads)

        in_background = settings.stale_while_revalidate or settings.early
        self._region = make_region(
            async_creation_runner=self._in_background if in_background else None
        ).configure("dogpile.cache.memory", expiration_time=settings.ttl, wrap=[Counted])

    async def __aenter__(self) -> Self:
        self._token = current_token()
        return self

    def get(self, key: str) -> Awaitable[Any]:
        def create() -> Any:
            return self._in_the_loop(self._source.load, key)

        return self._threads.call(lambda: self._region.get_or_create(key, create))

    def get_many(self, keys: Sequence[str]) -> Awaitable[Collection[Any]]:
        def create(*missing: str) -> list[Any]:
            found = self._in_the_loop(self._source.load_batch, missing)
            return [found[key] for key in missing]

        return self._threads.call(lambda: self._region.get_or_create_multi(keys, create))

    async def invalidate(self, key: str) -> None:
        await self._threads.call(lambda: self._region.delete(key))

    def peek(self, key: str) -> Any:
        found = self._region.get(key)
        return None if found is NO_VALUE else found

    async def rest(self) -> int:
        """Wait until its threads wait."""
        return await self._threads.rest()

    def _in_the_loop(self, func: Callable[[Any], Awaitable[Any]], argument: Any) -> Any:
        return from_thread.run(self._threads.wait_here, func, argument, token=self._token)

    def _in_background(
        self, region: CacheRegion, key: str, creator: Callable[[], Any], mutex: Mutex
    ) -> None:
        """Do what the documentation shows of `async_creation_runner`."""

        def run() -> None:
            try:
                region.set(key, creator())
            except Exception:  # noqa: BLE001, S110 - nobody asks for it
                pass
            finally:
                mutex.release()

        self._threads.start(run)
