"""What must hold in and between the parts of a cache, at every moment and in the end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from anyflight import ReadThroughCache


def faults_within(cache: ReadThroughCache[Any, Any]) -> Iterator[str]:
    """Yield what is wrong at this moment with the memory, and with the statistics."""
    memory = cache._memory
    if len(memory) > memory._max_entries:
        yield f"{len(memory)} entries are more than there may be"
    if sorted(map(repr, [*memory._queues._small, *memory._queues._main])) != sorted(
        map(repr, memory.entries)
    ):
        yield "the queues of the memory have other keys than its entries"
    listed = {(tag, key) for tag, keys in memory._keys_of.items() for key in keys}
    tagged = {(tag, key) for key, entry in memory.entries.items() for tag in entry.tags}
    if listed != tagged or not all(memory._keys_of.values()):
        yield f"the index of tags is {memory._keys_of}, and the tags are {tagged}"
    leaving = [key for key, entry in memory.entries.items() if entry.gone < math.inf]
    noted = [key for keys in memory._departures._keys.values() for key in keys]
    if len(noted) != len(leaving) or {*noted} != {*leaving}:
        yield f"{noted} are noted to leave, and {leaving} will"
    yield from _of_the_statistics(cache)


def _of_the_statistics(cache: ReadThroughCache[Any, Any]) -> Iterator[str]:
    now = cache.statistics()
    if now.entries != len(cache._memory):
        yield f"{len(cache._memory)} entries are counted as {now.entries}"
    if now.coalescing.calls > now.misses + now.refreshes + now.coalescing.refused:
        yield f"there are flights that nobody missed anything for: {now}"
    if now.stale_if_error > now.kept_errors + now.misses or now.refresh_failures > now.refreshes:
        yield f"the statistics do not add up: {now}"


def left_of_flights(cache: ReadThroughCache[Any, Any]) -> Iterator[str]:
    """Yield what is left of flights when none is in the air, and nobody waits for the store."""
    if len(cache._first.generations):
        yield f"tickets are held for {list(cache._first.generations._held)}"
    if cache._second is not None and cache._second._barred:
        yield f"the store is barred: {cache._second._barred}"
    now = cache.statistics().coalescing
    if now.in_flight or now.waiting:
        yield f"flights are counted: {now}"
