"""Processes that share a store, each with a cache of its own, all in one event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio

from anyflight import ReadThroughCache
from anyflight.lease import LeaseStore, MemoryStore
from tests.cache.getting import assert_settled
from tests.lease.leasing import Process
from tests.support import settle


class Member(Process):
    """One process of the fleet: its lease, its cache, and the store as it reaches it."""

    def __init__(
        self, store: LeaseStore, lease: dict[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(store, **(lease or {}))
        self.cache = ReadThroughCache[Any, Any](across=self.lease, **{"ttl": 10, **options})

    def __repr__(self) -> str:
        return f"<{self.cache}, {self.lease}>"

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.cache.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            await self.cache.__aexit__(exc_type, exc, traceback)
        finally:
            await super().__aexit__(exc_type, exc, traceback)
        return None

    async def get(self, key: Any, func: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return await self.cache.get(key, func, *args)

    def peek(self, key: Any = "k") -> Any:
        return self.cache.peek(key)

    def hold(self, *methods: str) -> anyio.Event:
        """Hold such requests on their way to the store, until the event is set."""
        gate = anyio.Event()
        self.store.before |= dict.fromkeys(methods, gate)
        return gate

    def hold_answers(self, *methods: str) -> anyio.Event:
        """Hold the answers to such requests, until the event is set."""
        gate = anyio.Event()
        self.store.after |= dict.fromkeys(methods, gate)
        return gate

    def assert_settled(self) -> None:
        """Check what must hold when nothing is in the air."""
        super().assert_settled()
        assert_settled(self.cache)
        hearing = self.cache._hearing
        assert hearing is not None
        if not self.lease.core.naming.names_are_keys:
            for key in self.cache._memory.entries:
                assert hearing._keys[self.lease.core.naming.name_of(key)] == key


async def change(member: Member, way: str, *, value: str = "set") -> None:
    """Invalidate the key "k", which has the tag "a", in one way or another.

    :param value: for the way that sets one
    """
    cache = member.cache
    match way:
        case "invalidate":
            await cache.invalidate("k")
        case "invalidate_tag":
            await cache.invalidate_tag("a")
        case "clear":
            await cache.clear()
        case _:
            await cache.set("k", value, tags=["a"])


@asynccontextmanager
async def fleet(
    number: int, store: LeaseStore | None = None, **options: Any
) -> AsyncGenerator[list[Member]]:
    """Open so many processes; `lease` has the options of their leases, the rest is the caches'."""
    shared = MemoryStore() if store is None else store
    members = [Member(shared, **options) for _ in range(number)]
    async with AsyncExitStack() as stack:
        for member in members:
            await stack.enter_async_context(member)
        yield members
        await settle()
        for member in members:
            member.assert_settled()
