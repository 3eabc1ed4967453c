"""The work that is shared."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from anyio.lowlevel import checkpoint

from benchmarks._rivals import Work

MILLI, MICRO = 1e3, 1e6
"""Milliseconds and microseconds in a second."""


async def returns_at_once(key: str) -> str:
    """Do nothing: all that a call costs is overhead."""
    return key


async def yields_once(key: str) -> str:
    """Let the event loop turn once, as work does that waits for something that is there."""
    await checkpoint()
    return key


class GatedWork:
    """Work that goes on when its gate is opened, and counts its executions."""

    def __init__(self, *, fail: bool = False) -> None:
        self.gate = anyio.Event()
        self.executions = 0
        self.fail = fail

    def function(self) -> Work:
        """Return the work as a function: some rivals look at its signature."""

        async def work(key: str) -> str:
            self.executions += 1
            await self.gate.wait()
            if self.fail:
                raise WorkError(key)
            return key

        return work

    def note(self, *, expected: int) -> str:
        """Tell the number of executions, if it is not what a flight table would make of them."""
        return "" if self.executions == expected else f"{self.executions:,} executions"


class WorkError(Exception):
    """Raised by work that is to fail."""


def some_keys(number: int) -> Sequence[str]:
    """Return so many different keys. Strings: some rivals take nothing else."""
    return [f"user:{index}" for index in range(number)]
