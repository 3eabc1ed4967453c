"""Probes of what becomes of a batch: that fails, waits, is one of many, or outlives its loader."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from benchmarks._backends import run_on
from benchmarks._loaders import Loader
from benchmarks._probes import (
    HANGS,
    Caller,
    Probe,
    SourceError,
    first_wrong,
    settle,
    value_of,
)

DELAY = 0.2
"""The seconds for which a batch is to wait, where it is to wait."""
PATIENCE = 20
"""Seconds, for what a busy machine may take."""


async def batch_fails(probe: Probe) -> str:
    """Let a batch raise."""
    probe.source.answer = _raise
    async with probe.opened() as start:
        callers = [start("a"), start("a"), start("b")]
        await probe.land()
        for caller in callers:
            if not caller.raised:
                return caller.told()
        alike = len({id(caller.outcome) for caller in callers}) < len(callers)
        return "all get one object" if alike else ""


async def batch_has_failed(probe: Probe) -> str:
    """Let a batch raise, and ask again."""
    probe.source.answer = _raise
    async with probe.opened() as start:
        start("a")
        await probe.land()
        probe.source.answer = None
        again = start("a")
        await settle()
        return again.wrong()


async def key_fails(probe: Probe) -> str:
    """Let a batch return an error as the value of one key."""
    probe.source.answer = _error_of_b
    async with probe.opened() as start:
        good, bad = start("a"), start("b")
        await probe.land()
        return good.wrong() or ("" if bad.raised else "it is returned as a value")


async def key_has_failed(probe: Probe) -> str:
    """Let a batch return an error as the value of a key, and ask for it again."""
    probe.source.answer = _error_of_b
    async with probe.opened() as start:
        start("b")
        await probe.land()
        probe.source.answer = None
        again = start("b")
        await settle()
        return again.wrong()


async def key_is_absent(probe: Probe) -> str:
    """Let a batch return nothing for one of its keys."""
    probe.source.answer = _without_b
    async with probe.opened() as start:
        good, absent = start("a"), start("b")
        await probe.land()
        if seen := good.wrong():
            return f"the others: {seen}"
        return "" if absent.raised else absent.told()


async def batch_is_cancelled(probe: Probe) -> str:
    """Let a batch raise a cancellation that no caller asked for."""
    probe.source.answer = _cancel
    async with probe.opened() as start:
        caller = start("a")
        await probe.land()
        return "" if caller.raised else caller.told()


async def loads_within(probe: Probe) -> str:
    """Let a batch load another key of the same loader."""
    async with probe.make() as loads, probe.callers(loads) as start:

        async def answer(keys: list[str]) -> dict[str, Any]:
            if "a" in keys:
                await loads.load("b")
            return {key: value_of(key) for key in keys}

        probe.source.answer = answer
        caller = start("a")
        await probe.land()
        return caller.wrong()


async def loads_itself(probe: Probe) -> str:
    """Let a batch load a key of its own."""
    seen = HANGS
    with anyio.CancelScope() as never:
        async with probe.make() as loads, probe.callers(loads) as start:

            async def answer(keys: list[str]) -> dict[str, Any]:
                return {key: await loads.load(key) for key in keys}

            probe.source.answer = answer
            caller = start("a")
            await probe.land()
            seen = "" if caller.raised else caller.told()
            never.cancel()  # of those that wait for themselves, some cannot be closed
    return seen


async def largest_batch(probe: Probe) -> str:
    """Load 10 keys in batches of 4, by a task for each key and by one call for others."""
    probe.source.gate.set()
    async with probe.make(size=4) as loads, probe.callers(loads) as start:
        callers = [start(key) for key in "abcdefghij"]
        await settle()
        found = await loads.load_many("klmnopqrst")
        largest = max(map(len, probe.source.batches))
        if seen := first_wrong(callers) or ("" if len(found) == len(callers) else "keys are lost"):
            return seen
        return "" if largest <= 4 else f"{largest} in a batch"  # noqa: PLR2004 - as in the line above


async def batches_at_once(probe: Probe) -> str:
    """Load 6 keys in a batch each, of which 2 may run at once."""
    async with probe.opened(size=1, concurrent=2) as start:
        callers = [start(key) for key in "abcdef"]
        await probe.land()
        at_once = probe.source.most_running
        expected = at_once == 2  # noqa: PLR2004 - as in the line above
        return first_wrong(callers) or ("" if expected else f"{at_once} at once")


async def gathers_while_full(probe: Probe) -> str:
    """Ask for keys one after the other while a batch runs, which is to be the only one."""
    async with probe.opened(concurrent=1) as start:
        callers: list[Caller] = []
        for key in "xabc":
            callers.append(start(key))
            await settle()
        await probe.land()
        batches = len(probe.source.batches)
        return first_wrong(callers) or ("" if batches == 2 else f"{batches} batches")  # noqa: PLR2004


async def waits_for_more(probe: Probe) -> str:
    """Ask for two keys, one after the other, where a batch is to wait."""
    probe.source.gate.set()
    async with probe.opened(delay=DELAY) as start:
        callers = [start("a")]
        await settle()
        callers.append(start("b"))
        with anyio.move_on_after(PATIENCE):
            while any(caller.outcome == HANGS for caller in callers):
                await anyio.sleep(DELAY / 10)
        batches = len(probe.source.batches)
        return first_wrong(callers) or ("" if batches == 1 else f"{batches} batches")


async def closes(probe: Probe) -> str:
    """Close the loader while a batch runs."""
    running: list[int] = []

    async def open_and_close() -> None:
        async with loads:
            await settle()
        running.append(probe.source.running)

    loads = probe.make()
    async with anyio.create_task_group() as tasks, probe.callers(loads) as start:
        tasks.start_soon(open_and_close)
        await checkpoint()
        await checkpoint()
        start("a")
        await settle()
        await settle()
        await probe.land()
    return "it runs on" if running != [0] else ""


def second_event_loop(loader: Loader, backend: str) -> str:
    """Use a loader in an event loop, and then in another one."""
    made: list[tuple[Probe, Any]] = []

    async def load(key: str) -> str:
        if not made:
            probe = Probe(loader, backend)
            made.append((probe, probe.make()))
        probe, loads = made[0]
        probe.source.gate = anyio.Event()
        async with loads, probe.callers(loads) as start:
            caller = start(key)
            await probe.land()
            return caller.wrong()

    try:
        return run_on(backend, load, "a") or run_on(backend, load, "b")
    except RuntimeError as error:
        return f"raises {type(error).__name__}"


def on_trio(loader: Loader, _: str) -> str:
    """Load a key on Trio."""

    async def load() -> str:
        probe = Probe(loader, "trio")
        async with probe.opened() as start:
            caller = start("a")
            await probe.land()
            return caller.wrong()

    try:
        return run_on("trio", load)
    except BaseException as error:  # noqa: BLE001 - whatever a rival does to Trio
        return f"raises {type(error).__name__}"


async def _raise(keys: list[str]) -> dict[str, Any]:
    raise SourceError(keys)


async def _error_of_b(keys: list[str]) -> dict[str, Any]:
    return {key: SourceError(key) if key == "b" else value_of(key) for key in keys}


async def _without_b(keys: list[str]) -> dict[str, Any]:
    return {key: value_of(key) for key in keys if key != "b"}


async def _cancel(_: list[str]) -> dict[str, Any]:
    raise asyncio.CancelledError
