"""Cancelled at each of its steps, a call leaves the cache whole, and the next one is served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyflight import BatchLoader, ReadThroughCache
from tests.cache.getting import SlowStore, assert_settled, assert_whole
from tests.support import CANCELLED, PENDING, WAYS, Caller, settle

pytestmark = pytest.mark.anyio

Cache = ReadThroughCache[Any, Any]
LONGEST = 40


async def work(value: str) -> str:
    for _ in range(2):
        await checkpoint()
    return value


async def load(keys: list[Any]) -> dict[Any, str]:
    return {key: await work("loaded") for key in keys}


CALLS: dict[str, Callable[[Cache, Any], Awaitable[Any]]] = {
    "get": lambda cache, loader: cache.get(1, work, "loaded"),
    "get fresh": lambda cache, loader: cache.get(1, work, "loaded", fresh=True),
    "get many": lambda cache, loader: cache.get_many([1, 2], loader),
    "set": lambda cache, loader: cache.set(1, "set"),
    "invalidate": lambda cache, loader: cache.invalidate(1),
    "invalidate tag": lambda cache, loader: cache.invalidate_tag("a"),
    "clear": lambda cache, loader: cache.clear(),
}
INVALIDATIONS = {"invalidate", "invalidate tag", "clear"}


async def cancelled_at(step: int, name: str, way: str, cache: Cache, loader: Any) -> Any:
    """Make a call, cancel it after so many steps, and check what it leaves behind."""
    caller = Caller()
    if name in INVALIDATIONS:
        await cache.set(1, "old", tags=["a"])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller.run, way, lambda: CALLS[name](cache, loader))
        await begin(caller)
        for _ in range(step):
            await checkpoint()
            assert_whole(cache)
        caller.cancel()
    await settle()
    assert_settled(cache)
    assert caller.outcome is CANCELLED or not isinstance(caller.outcome, BaseException)
    expected = {"set": {"set", "loaded"}}.get(name, {"loaded"})
    if name in INVALIDATIONS and step:  # else its task may have been cancelled before it ran
        assert cache.peek(1) is None
    if name in INVALIDATIONS and caller.outcome is CANCELLED and (not step or cache._second):
        expected = {"old", "loaded"}  # the store may not have been told
    assert await cache.get(1, work, "loaded") in expected
    return caller.outcome


async def begin(caller: Caller) -> None:
    """Wait until the call has been made: Trio runs what is ready in any order."""
    while not hasattr(caller, "cancel"):
        await checkpoint()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("with_store", [False, True])
@pytest.mark.parametrize("name", CALLS)
async def test_a_call_may_be_cancelled_at_each_of_its_steps(
    name: str, with_store: bool, way: str
) -> None:
    outcomes = []
    async with BatchLoader(load) as loader:
        for step in range(LONGEST):
            async with Cache(ttl=10, store=SlowStore() if with_store else None) as cache:
                outcomes.append(await cancelled_at(step, name, way, cache, loader))
            if outcomes[-1] is not CANCELLED:
                break
    assert outcomes[-1] is not CANCELLED  # so each of its steps was tried


@pytest.mark.parametrize("name", ["get", "get many"])
async def test_others_that_wait_notice_nothing(name: str) -> None:
    async with BatchLoader(load) as loader:
        for step in range(LONGEST):
            async with (
                Cache(ttl=10, store=SlowStore()) as cache,
                anyio.create_task_group() as tasks,
            ):
                caller, other = Caller(), Caller()
                for one in (caller, other):
                    tasks.start_soon(one.run, "scope", lambda: CALLS[name](cache, loader))
                await begin(caller)
                for _ in range(step):
                    await checkpoint()
                caller.cancel()
                while other.outcome is PENDING:
                    await checkpoint()
                assert other.value in ("loaded", {1: "loaded", 2: "loaded"})
            if caller.outcome is not CANCELLED:
                break
