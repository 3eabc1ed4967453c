"""Probes of who shares a load, and of what harms others."""

from __future__ import annotations

from benchmarks._cache_probes import MANY, TTL, Opens, first_wrong

VALUES = ("a1", "a2")


async def shares_when_cold(opened: Opens) -> str:
    """Ask for a key that was never loaded, many at once."""
    async with opened() as probe:
        probe.source.close_gate()
        callers = await probe.start("a", MANY)
        await probe.open_gate()
        return first_wrong(callers, "a1") or probe.source.times_wrong(1)


async def shares_when_expired(opened: Opens) -> str:
    """Ask for a key that has expired, many at once."""
    async with opened(ttl=TTL) as probe:
        await probe.ask("a", "a1")
        await probe.pass_time(TTL + 1)
        probe.source.close_gate()
        callers = await probe.start("a", MANY)
        await probe.open_gate()
        # To serve the old value to some is another matter: see `serves_nothing_older`.
        seen = next((each.wrong("a2") for each in callers if each.outcome not in VALUES), "")
        return seen or probe.source.times_wrong(2)


async def shares_errors(opened: Opens) -> str:
    """Let a load fail that many wait for."""
    async with opened() as probe:
        probe.source.fail()
        probe.source.close_gate()
        callers = await probe.start("a", MANY)
        await probe.open_gate()
        seen = next(filter(None, (caller.failed_wrong() for caller in callers)), "")
        return seen or probe.source.times_wrong(1)


async def copies_errors(opened: Opens) -> str:
    """Compare the exceptions of those who wait for a load that fails."""
    async with opened() as probe:
        probe.source.fail()
        probe.source.close_gate()
        callers = await probe.start("a", 3)
        await probe.open_gate()
        if seen := next(filter(None, (caller.failed_wrong() for caller in callers)), ""):
            return seen
        alike = len({id(caller.outcome) for caller in callers}) < len(callers)
        return "all get one object" if alike else ""


async def first_is_cancelled(opened: Opens) -> str:
    """Cancel the caller whose call has started the load."""
    return await _one_is_cancelled(opened, 0)


async def another_is_cancelled(opened: Opens) -> str:
    """Cancel a caller who has joined it."""
    return await _one_is_cancelled(opened, 1)


async def _one_is_cancelled(opened: Opens, index: int) -> str:
    async with opened() as probe:
        probe.source.close_gate()
        callers = [*await probe.start("a"), *await probe.start("a", 20)]
        callers.pop(index).cancel()
        await probe.settle()
        await probe.open_gate()
        return first_wrong(callers, "a1") or probe.source.times_wrong(1)


async def all_are_cancelled(opened: Opens) -> str:
    """Cancel every caller of a load."""
    async with opened() as probe:
        probe.source.close_gate()
        for caller in await probe.start("a", 3):
            caller.cancel()
        await probe.settle()
        return "it runs on" if probe.source.running else ""


async def slow_key_apart(opened: Opens) -> str:
    """Let many wait for a slow key, and ask for another, which is there."""
    async with opened() as probe:
        await probe.ask("b", "b1")
        probe.source.close_gate()
        await probe.start("a", MANY)
        return await probe.ask("b", "b1")


async def many_share(opened: Opens) -> str:
    """Ask for many keys at once, two times, with a key in common."""
    async with opened() as probe:
        probe.source.close_gate()
        first = await probe.start(["a", "b"], many=True)
        second = await probe.start(["b", "c"], many=True)
        await probe.open_gate()
        for caller in (*first, *second):
            if isinstance(caller.outcome, (str, Exception)):
                return caller.wrong({})
        asked = sum(keys.count("b") for keys in probe.source.batches)
        return "" if asked == 1 else f"asks for it {asked} times"
