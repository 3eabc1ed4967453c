"""Probes of what a cache keeps, what it forgets when told so, and how one gets at it."""

from __future__ import annotations

from functools import partial

from benchmarks._cache_probes import Opens, Probe

FULL = 10


async def keeps_everything(opened: Opens) -> str:
    """Ask twice for values that are false."""
    async with opened() as probe:
        values: tuple[object, ...] = (None, False, 0, "", [])
        for index, value in enumerate(values):
            probe.source.answer = partial(_return, value)
            for _ in range(2):
                if seen := await probe.ask(f"key{index}", value):
                    return seen
            if probe.source.times_wrong(index + 1):
                return f"asks again for {value!r}"
        return ""


def _return(value: object, _: str) -> object:
    return value


async def forgets_one(opened: Opens) -> str:
    """Invalidate one of two keys."""
    async with opened() as probe:
        seen = await probe.ask("a", "a1") or await probe.ask("b", "b1")
        await probe.cache.invalidate("a")
        return seen or await probe.ask("b", "b1") or await probe.ask("a", "a2")


async def keeps_out_late(opened: Opens) -> str:
    """Invalidate a key while it is being loaded."""
    async with opened() as probe:
        probe.source.close_gate()
        await probe.start("a")
        await probe.cache.invalidate("a")
        await probe.open_gate()
        return await probe.ask("a", "a2")


async def joins_nothing_old(opened: Opens) -> str:
    """Ask for a key while it is being loaded, after it was invalidated."""
    async with opened() as probe:
        probe.source.close_gate()
        await probe.start("a")
        await probe.cache.invalidate("a")
        (caller,) = await probe.start("a")
        await probe.open_gate()
        return caller.wrong("a2")


async def old_end_harms_nobody(opened: Opens) -> str:
    """Let a load fail that was begun before an invalidation, while the next one runs."""
    async with opened() as probe:
        probe.source.fail()
        old = probe.source.close_gate()
        await probe.start("a")
        await probe.cache.invalidate("a")
        probe.source.answer = None
        probe.source.close_gate()
        (second,) = await probe.start("a")
        old.set()
        await probe.settle()
        (third,) = await probe.start("a")
        await probe.open_gate()
        return second.wrong("a2") or third.wrong("a2") or probe.source.times_wrong(2)


async def forgets_tagged(opened: Opens) -> str:
    """Invalidate what has a tag."""
    async with opened(tags=True) as probe:
        seen = await probe.ask("ta", "ta1") or await probe.ask("tb", "tb1")
        seen = seen or await probe.ask("c", "c1")
        await probe.cache.invalidate_tag()
        seen = seen or await probe.ask("ta", "ta2") or await probe.ask("tb", "tb2")
        return seen or await probe.ask("c", "c1")


async def tag_keeps_out_late(opened: Opens) -> str:
    """Invalidate a tag while a value is being loaded that is to have it."""
    async with opened(tags=True) as probe:
        probe.source.close_gate()
        await probe.start("ta")
        await probe.cache.invalidate_tag()
        await probe.open_gate()
        return await probe.ask("ta", "ta2")


async def finds_tagged_when_full(opened: Opens) -> str:
    """Fill the cache with what has no tag; keep one that has it in demand; invalidate the tag."""
    async with opened(tags=True, max_entries=FULL) as probe:
        for index in range(2 * FULL):
            await probe.cache.get("ta")
            await probe.cache.get(f"key{index}")
        loads = probe.source.loads.count("ta")
        await probe.cache.invalidate_tag()
        if seen := await probe.ask("ta", f"ta{loads + 1}"):
            return seen if seen != f"gets 'ta{loads}'" else "the value stays"
        return ""


async def failing_costs_nobody(opened: Opens) -> str:
    """Let loads fail in a cache that is full."""
    async with opened(max_entries=FULL) as probe:
        keys = [f"key{index}" for index in range(FULL)]
        for key in keys:
            await probe.cache.get(key)
        probe.source.fail()
        for index in range(FULL):
            await probe.start(f"bad{index}")
        probe.source.answer = None
        loads = len(probe.source.loads)
        for key in keys:
            await probe.ask(key, f"{key}1")
        lost = len(probe.source.loads) - loads
        return f"{lost} of {FULL} values are lost" if lost else ""


async def peeks(opened: Opens) -> str:
    """Look for what is there, and for what is not."""
    async with opened() as probe:
        await probe.ask("a", "a1")
        found, missing = probe.cache.peek("a"), probe.cache.peek("b")
        if (found, missing) != ("a1", None):
            return f"returns {found!r} and {missing!r}"
        return probe.source.times_wrong(1)


async def gets_many(opened: Opens) -> str:
    """Ask for many keys at once, and again with one more."""
    async with opened() as probe:
        for keys in (["a", "b"], ["a", "b", "c"]):
            if seen := await _ask_for_many(probe, keys):
                return seen
        batches = [sorted(batch) for batch in probe.source.batches]
        return "" if batches == [["a", "b"], ["c"]] else f"loads {batches}"


async def _ask_for_many(probe: Probe, keys: list[str]) -> str:
    (caller,) = await probe.start(keys, many=True)
    found = caller.outcome
    if isinstance(found, (str, Exception)):
        return caller.wrong(keys)
    values = list(found.values() if isinstance(found, dict) else found)
    return "" if sorted(values) == keys else caller.wrong(keys)
