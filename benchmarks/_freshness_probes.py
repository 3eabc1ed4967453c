"""Probes of how long a cache keeps what: values, old values, and errors."""

from __future__ import annotations

import gc
import weakref
from itertools import pairwise
from statistics import mean
from typing import Any

import anyio

from benchmarks._cache_probes import MANY, TTL, Opens, Probe, first_wrong
from benchmarks._probes import HANGS

KEYS = 50
A_WHILE = 100
"""The seconds for which old values may be served, where they may."""
OFTEN = 0.1
"""The seconds between two calls for a key that is in demand."""
CHEAP, DEAR = 0.1, 1.0
"""How many seconds a load takes whose value is to be fetched early."""


async def expires(opened: Opens) -> str:
    """Ask before and after the time is over."""
    async with opened(ttl=TTL) as probe:
        seen = await probe.ask("a", "a1")
        await probe.pass_time(TTL - 1)
        seen = seen or await probe.ask("a", "a1")
        await probe.pass_time(2)
        return seen or await probe.ask("a", "a2")


async def spreads(opened: Opens) -> str:
    """Fill many keys at once, and look how many have expired when half of them should have."""
    async with opened(ttl=TTL, jitter=0.5) as probe:
        keys = [f"key{number}" for number in range(KEYS)]
        for key in keys:
            await probe.cache.get(key)
        await probe.pass_time(0.75 * TTL)
        for key in keys:
            await probe.cache.get(key)
        expired = len(probe.source.loads) - KEYS
        return "" if 0 < expired < KEYS else "all expire at once"


async def serves_stale(opened: Opens) -> str:
    """Ask for a value that has expired while its source is slow."""
    async with opened(ttl=TTL, stale_while_revalidate=A_WHILE) as probe:
        await probe.ask("a", "a1")
        await probe.pass_time(TTL + 1)
        probe.source.close_gate()
        callers = await probe.start("a", MANY)
        if seen := first_wrong(callers, "a1") or probe.source.times_wrong(2):
            return seen
        await probe.open_gate()
        return await probe.ask("a", "a2")


async def serves_nothing_older(opened: Opens) -> str:
    """Ask for a value that is older than may be served."""
    async with opened(ttl=TTL, stale_while_revalidate=A_WHILE) as probe:
        await probe.ask("a", "a1")
        await probe.pass_time(TTL + A_WHILE + 1)
        probe.source.close_gate()
        (caller,) = await probe.start("a")
        if caller.outcome != HANGS:
            return caller.wrong("a2")
        await probe.open_gate()
        return caller.wrong("a2")


async def pauses_refreshes(opened: Opens) -> str:
    """Let a source fail while old values are served, and ask often."""
    async with opened(ttl=TTL, stale_while_revalidate=A_WHILE) as probe:
        await probe.ask("a", "a1")
        await probe.pass_time(TTL + 1)
        probe.source.fail()
        for _ in range(5):
            if seen := await probe.ask("a", "a1"):
                return seen
            await probe.pass_time(OFTEN)
        return probe.source.times_wrong(2)


async def spares_errors(opened: Opens) -> str:
    """Let a source fail when a value has expired."""
    async with opened(ttl=TTL, stale_if_error=A_WHILE) as probe:
        await probe.ask("a", "a1")
        await probe.pass_time(TTL + 1)
        probe.source.fail()
        return await probe.ask("a", "a1")


async def keeps_errors(opened: Opens) -> str:
    """Ask again for what has failed, and again when that has expired."""
    async with opened(ttl=TTL, keeps_errors=True) as probe:
        if seen := await _fails_twice(probe):
            return seen
        await probe.pass_time(TTL + 1)
        probe.source.answer = None
        return await probe.ask("a", "a2")


async def copies_kept_errors(opened: Opens) -> str:
    """Compare the exceptions that two get."""
    async with opened(ttl=TTL, keeps_errors=True) as probe:
        if seen := await _fails_twice(probe):
            return seen
        first, second = probe.callers
        return "all get one object" if first.outcome is second.outcome else ""


async def _fails_twice(probe: Probe) -> str:
    probe.source.fail()
    first, second = [*await probe.start("a"), *await probe.start("a")]
    return first.failed_wrong() or second.failed_wrong() or probe.source.times_wrong(1)


async def refreshes_early(opened: Opens) -> str:
    """Ask often for a value, and look whether the next is fetched before it expires."""
    leads = await _leads(opened, DEAR, values=1)
    return "" if leads[0] > 0 else "not before it expires"


async def refreshes_by_cost(opened: Opens) -> str:
    """Compare how early the next value is fetched where that takes long, and where it does not."""
    dear, cheap = mean(await _leads(opened, DEAR)), mean(await _leads(opened, CHEAP))
    if dear <= 0:
        return "not before it expires"
    return "" if dear > 2 * cheap else "cheap ones as early"


async def _leads(opened: Opens, seconds: float, values: int = 3) -> list[float]:
    """Return by how many seconds fetches began before the value expired that there was."""
    async with opened(ttl=TTL, early=True) as probe:
        probe.source.seconds = seconds
        await probe.cache.get("a")
        for _ in range(int(values * (TTL + seconds + 1) / OFTEN)):
            await probe.start("a")
            await anyio.sleep(OFTEN)
        times = probe.source.times
        return [one + seconds + TTL - next_one for one, next_one in pairwise(times)][:values]


class Heavy:
    """A value whose life can be watched; it is itself where a cache copies what it keeps."""

    def __copy__(self) -> Heavy:
        return self


def watch(probe: Probe) -> weakref.WeakSet[Heavy]:
    """Let loads bring such values; return those that live."""
    alive: weakref.WeakSet[Heavy] = weakref.WeakSet()

    def answer(_: str) -> Any:
        value = Heavy()
        alive.add(value)
        return value

    probe.source.answer = answer
    return alive


async def lets_go(opened: Opens) -> str:
    """Let values expire for which nobody asks again, while others are asked for."""
    async with opened(ttl=TTL) as probe:
        alive = watch(probe)
        for number in range(KEYS):
            await probe.cache.get(f"key{number}")
        await probe.pass_time(2 * TTL)
        probe.source.answer = None
        for number in range(KEYS):
            await probe.cache.get(f"other{number}")
        return _held(alive, 0)


async def has_a_bound(opened: Opens) -> str:
    """Ask for more keys than may be kept."""
    async with opened(max_entries=KEYS) as probe:
        alive = watch(probe)
        for number in range(2 * KEYS):
            await probe.cache.get(f"key{number}")
        await probe.settle()
        return _held(alive, KEYS)


def _held(alive: weakref.WeakSet[Heavy], most: int) -> str:
    gc.collect()
    return "" if len(alive) <= most else f"holds {len(alive)}"
