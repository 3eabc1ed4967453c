"""Probes of what a loader does for its callers: whom it shares with, and whom it harms."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint

from benchmarks._probes import Probe, first_wrong, settle, times_wrong


async def shares(probe: Probe, *, remember: bool = True) -> str:
    """Ask for a key before its batch goes, and while it runs."""
    async with probe.opened(remember=remember) as start:
        callers = [start("a"), start("a")]
        await settle()
        callers.append(start("a"))
        await probe.land()
        return first_wrong(callers) or times_wrong(probe, "a", 1)


async def shares_without_memory(probe: Probe) -> str:
    """Do the same where no value is to be remembered, and then ask again."""
    seen = await shares(probe, remember=False)
    if seen:
        return seen
    async with probe.opened(remember=False) as start:
        for asked in (2, 3):  # once before, in the loader that is closed
            start("a")
            await settle()
            if probe.source.times_asked("a") != asked:
                return "the value is remembered"
    return ""


async def cancelled_beside_its_key(probe: Probe) -> str:
    """Cancel one of two callers of a key while its batch runs."""
    async with probe.opened() as start:
        first, second = start("a"), start("a")
        await settle()
        first.cancel()
        await probe.land()
        return second.wrong()


async def cancelled_beside_other_keys(probe: Probe) -> str:
    """Cancel one of two callers whose keys fill a batch: the first, or the last."""
    for index in range(2):
        probe.source.gate = anyio.Event()
        async with probe.opened(size=2) as start:
            callers = [start("a"), start("b")]
            await settle()
            callers[index].cancel()
            await probe.land()
            if seen := callers[1 - index].wrong():
                return seen
    return ""


async def asked_for_again(probe: Probe) -> str:
    """Cancel the only caller of a batch that runs, and ask again: then, and when it has landed."""
    async with probe.opened() as start:
        first = start("a")
        await settle()
        first.cancel()
        await settle()
        while_it_runs = start("a")
        await probe.land()
        later = [start("a"), start("b")]
        await settle()
        if seen := first_wrong(later):
            return f"{seen} for ever"
        return while_it_runs.wrong()


async def left_before_it_goes(probe: Probe) -> str:
    """Cancel the only caller of a key before its batch goes, with no batch in its way and one."""
    seen = ""
    if probe.backend != "trio":  # where nobody knows in which order tasks run
        seen = await _left_before_it_goes(probe, in_its_way="")
    return seen or await _left_before_it_goes(probe, in_its_way="x")


async def _left_before_it_goes(probe: Probe, *, in_its_way: str) -> str:
    probe.source.gate = anyio.Event()
    async with probe.opened(concurrent=1) as start:
        for key in in_its_way:
            start(key)
        await settle()
        left, stays = start("a"), start("b")
        await checkpoint()
        left.cancel()
        await probe.land()
        return stays.wrong() or times_wrong(probe, "a", 0)


async def left_while_it_runs(probe: Probe) -> str:
    """Cancel all callers of a batch that runs."""
    async with probe.opened() as start:
        callers = [start("a"), start("b")]
        await settle()
        for caller in callers:
            caller.cancel()
        await settle()
        return "it runs on" if probe.source.running else ""
