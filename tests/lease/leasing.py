"""Processes of a fleet, all in one event loop: each has a lease of its own on the same store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from anyflight.lease import Acquired, Hear, Lease, LeaseStatistics, LeaseStore, Notice, Outcome
from tests.support import Caller, settle

T = TypeVar("T")


class GatedStore:
    """Hands requests on to a store; the test may hold, fail or lose any of them.

    Each of the dictionaries is by the name of a method.
    """

    def __init__(self, store: LeaseStore) -> None:
        self.store = store
        #: The names of the methods that were called.
        self.requests: list[str] = []
        #: Gates that a request passes on its way to the store, and that its answer passes.
        self.before: dict[str, anyio.Event] = {}
        self.after: dict[str, anyio.Event] = {}
        #: What requests raise that do not come to the store, and those of which the answer is lost.
        self.fails: dict[str, BaseException | type[BaseException]] = {}
        self.loses: dict[str, BaseException | type[BaseException]] = {}
        #: What all of them raise, the subscription too.
        self.down: Exception | None = None
        #: Messages that are kept from being heard; None if they are not.
        self.held_back: list[Notice] | None = None
        self.subscriptions = 0
        self._subscription: anyio.CancelScope
        self._hear: Hear
        #: Called with each request and each answer.
        self.look: Callable[[], object] = lambda: None

    def cut(self) -> None:
        """Let the subscription be lost."""
        self._subscription.cancel()

    def hear_late(self) -> None:
        """Let what was held back be heard."""
        held_back, self.held_back = self.held_back or [], None
        for notice in held_back:
            self._hear(notice)

    async def check(self) -> None:
        await self._ask("check", self.store.check)

    async def listen(self, hear: Hear, live: Callable[[], None]) -> None:
        await self._ask("listen", checkpoint)
        self._hear = hear
        self.subscriptions += 1
        with anyio.CancelScope() as self._subscription:
            await self.store.listen(self._pass_on, live)
        raise ConnectionError("cut")

    def _pass_on(self, notice: Notice) -> None:
        if self.held_back is None:
            self._hear(notice)
        else:
            self.held_back.append(notice)

    async def acquire(
        self, key: str, token: str, *, ttl: float, since: int, waited: bool = True
    ) -> Acquired:
        return await self._ask(
            "acquire", lambda: self.store.acquire(key, token, ttl=ttl, since=since, waited=waited)
        )

    async def renew(self, key: str, token: str, *, ttl: float) -> bool:
        return await self._ask("renew", lambda: self.store.renew(key, token, ttl=ttl))

    async def commit(
        self, key: str, token: str, outcome: Outcome, *, keep: float, wanted: bool
    ) -> bool:
        return await self._ask(
            "commit",
            lambda: self.store.commit(key, token, outcome, keep=keep, wanted=wanted),
        )

    async def release(self, key: str, token: str) -> bool:
        return await self._ask("release", lambda: self.store.release(key, token))

    async def invalidate(self, key: str, origin: str) -> None:
        await self._ask("invalidate", lambda: self.store.invalidate(key, origin))

    async def invalidate_all(self, origin: str) -> None:
        await self._ask("invalidate_all", lambda: self.store.invalidate_all(origin))

    async def replace(self, key: str, origin: str, outcome: Outcome, *, keep: float) -> None:
        await self._ask("replace", lambda: self.store.replace(key, origin, outcome, keep=keep))

    async def read(self, key: str) -> Outcome | None:
        return await self._ask("read", lambda: self.store.read(key))

    async def tag(self, key: str, tags: frozenset[str], *, keep: float) -> None:
        await self._ask("tag", lambda: self.store.tag(key, tags, keep=keep))

    async def tagged(self, tag: str) -> list[str]:
        return await self._ask("tagged", lambda: self.store.tagged(tag))

    async def keys(self) -> AsyncGenerator[str, None]:
        await self._ask("keys", checkpoint)
        async with aclosing(self.store.keys()) as keys:
            async for key in keys:
                yield key

    async def _ask(self, method: str, request: Callable[[], Awaitable[T]]) -> T:
        self.look()
        self.requests.append(method)
        if method in self.before:
            await self.before[method].wait()
        error = self.down or self.fails.get(method)
        if error is not None:
            await checkpoint()
            raise error
        answer = await request()
        if method in self.after:
            await self.after[method].wait()
        if method in self.loses:
            raise self.loses[method]
        self.look()
        return answer


class Process:
    """One process of the fleet: its lease, and the store as it reaches it."""

    def __init__(self, store: LeaseStore, **options: Any) -> None:
        self.store = store if isinstance(store, GatedStore) else GatedStore(store)
        self.store.look = self.assert_counted
        self.lease = Lease[Any](self.store, **options)

    async def __aenter__(self) -> Self:
        await self.lease.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self.lease.__aexit__(exc_type, exc, traceback)

    async def start(
        self,
        tasks: TaskGroup,
        key: Any,
        func: Callable[..., Awaitable[Any]],
        *args: Any,
        way: str = "scope",
        **options: Any,
    ) -> Caller:
        """Start one call; return when it waits, or has ended (and every other task waits)."""
        caller = Caller()
        tasks.start_soon(caller.run, way, lambda: self.lease.execute(key, func, *args, **options))
        await settle()
        self.assert_counted()
        return caller

    @property
    def counts(self) -> LeaseStatistics:
        return self.lease.statistics()

    def assert_counted(self) -> None:
        """Check what the statistics say of themselves at every moment."""
        now = self.counts
        ways = now.ran + now.ran_unreachable + now.ran_unshared
        ways += now.shared + now.remote_errors + now.given_up
        assert now.calls == ways + now.taking_part
        ends = now.committed + now.fenced + now.uncommitted + now.released + now.lost
        assert now.won == ends + now.holding

    def assert_settled(self) -> None:
        """Check that nothing is under way, and that nothing is left of what was."""
        self.assert_counted()
        assert self.counts.taking_part == self.counts.holding == 0
        core = self.lease.core
        assert core._hearing._waiting == {}
        assert core._holdings._held == {}
        assert core._holdings._due._due == {}


class Block(Caller):
    def __init__(self) -> None:
        super().__init__()
        self.go = anyio.Event()


async def block(tasks: TaskGroup, process: Process, error: Exception | None = None) -> Block:
    """Open the lease in a task; leave the block when `go` is set."""

    async def run() -> None:
        async with process:
            await caller.go.wait()
            if error is not None:
                raise error

    caller = Block()
    tasks.start_soon(caller.run, "scope", run)
    await settle()
    return caller
