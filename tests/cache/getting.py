"""Calls of a cache that wait, and what must hold when nothing is in the air."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from anyflight import ReadThroughCache
from proof.cache_invariants import faults_within, left_of_flights
from tests.support import Caller, settle


class SlowStore:
    """A store in this process that takes two turns for everything: one before, one after."""

    def __init__(self, clock: Callable[[], float] = float) -> None:
        self._clock = clock
        self.kept: dict[Any, tuple[Any, float]] = {}

    async def get(self, key: Any) -> Any:
        await checkpoint()
        stored, since = self.kept.get(key, (None, 0.0))
        await checkpoint()
        return stored and dataclasses.replace(stored, age=self._clock() - since)

    async def set(self, key: Any, stored: Any, *, keep: float) -> None:
        await checkpoint()
        self.kept[key] = stored, self._clock()
        await checkpoint()

    async def delete(self, key: Any) -> None:
        await checkpoint()
        self.kept.pop(key, None)
        await checkpoint()

    async def delete_tag(self, tag: str) -> None:
        await checkpoint()
        self.kept = {key: each for key, each in self.kept.items() if tag not in each[0].tags}
        await checkpoint()

    async def clear(self) -> None:
        await checkpoint()
        self.kept.clear()
        await checkpoint()


class Source:
    """An async function that returns at once how often it was called; or fails, if it is to."""

    def __init__(self) -> None:
        self.calls = 0
        self.fail: Exception | None = None

    async def __call__(self, *args: Any) -> Any:
        self.calls += 1
        if self.fail is not None:
            raise self.fail
        return self.calls


async def start_call(tasks: TaskGroup, call: Callable[[], Awaitable[Any]]) -> Caller:
    """Start a call; return when it waits, or has ended (and every other task waits)."""
    caller = Caller()
    tasks.start_soon(caller.run, "scope", call)
    await settle()
    return caller


async def start_get(
    tasks: TaskGroup,
    cache: ReadThroughCache[Any, Any],
    key: Any,
    func: Callable[..., Awaitable[Any]],
    *args: Any,
    **options: Any,
) -> Caller:
    """Start one `get`; return when it waits, or has ended (and every other task waits)."""
    return await start_call(tasks, lambda: cache.get(key, func, *args, **options))


async def fill(cache: ReadThroughCache[Any, Any], key: Any, value: Any, **options: Any) -> None:
    """Let the cache load a value."""

    async def load() -> Any:
        return value

    assert await cache.get(key, load, **options) == value


def assert_settled(cache: ReadThroughCache[Any, Any]) -> None:
    """Check what must hold in and between the parts of a cache when nothing is in the air."""
    assert_whole(cache)
    assert list(left_of_flights(cache)) == []


def assert_whole(cache: ReadThroughCache[Any, Any]) -> None:
    """Check the invariants of the memory, and the identities of the statistics."""
    assert list(faults_within(cache)) == []


def all_keys(buckets: dict[int, set[Any]]) -> list[Any]:
    return [key for keys in buckets.values() for key in keys]


class GatedStore:
    """A store in this process; each method can be made to wait, or to fail."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.kept: dict[Any, tuple[Any, float]] = {}
        self.keeps: dict[Any, float] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.fail: dict[str, Exception] = {}
        self.gates: dict[str, anyio.Event] = {}
        #: Whether a write is made before it waits, as a server may do it, or after.
        self.write_first = False

    async def get(self, key: Any) -> Any:
        found = self.kept.get(key)
        await self._called("get", key)
        if found is None:
            return None
        stored, since = found
        return dataclasses.replace(stored, age=stored.age + self._clock() - since)

    async def set(self, key: Any, stored: Any, *, keep: float) -> None:
        if self.write_first:
            self.kept[key] = stored, self._clock()
        await self._called("set", key)
        self.kept[key] = stored, self._clock()
        self.keeps[key] = keep

    async def delete(self, key: Any) -> None:
        await self._called("delete", key)
        self.kept.pop(key, None)

    async def delete_tag(self, tag: str) -> None:
        await self._called("delete_tag", tag)
        for key in [key for key, (stored, _) in self.kept.items() if tag in stored.tags]:
            del self.kept[key]

    async def clear(self) -> None:
        await self._called("clear")
        self.kept.clear()

    async def _called(self, method: str, *args: Any) -> None:
        self.calls.append((method, *args))
        if method in self.gates:
            await self.gates[method].wait()
        if method in self.fail:
            raise self.fail[method]
