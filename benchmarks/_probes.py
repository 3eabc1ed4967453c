"""What a probe of a loader is made of: a source, callers, and what has become of them.

All waits are for gates. So a caller that still waits after some turns of the event loop, with no
gate closed, will wait for ever.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from benchmarks._crowd import all_wait, crowd_of
from benchmarks._loaders import Loader, Loads, Settings

HANGS = "hangs"
CANCELLED = "is cancelled"
TURNS = 60
"""Of the event loop, after which all that can happen has happened."""


class SourceError(Exception):
    """Raised by a batch, or the error of a key."""


async def settle() -> None:
    """Let all happen that can."""
    await all_wait(TURNS)


def value_of(key: str) -> str:
    """Return the value of a key."""
    return key.upper()


class Source:
    """What is loaded from. It keeps the batches, which wait until its gate is opened.

    :ivar answer: what a batch does then, in place of returning the values of its keys
    """

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.batches: list[list[str]] = []
        self.running = 0
        self.most_running = 0
        self.answer: Callable[[list[str]], Awaitable[dict[str, Any]]] | None = None

    async def load_batch(self, keys: list[str]) -> dict[str, Any]:
        """Load a batch."""
        self.batches.append(keys)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
            if self.answer is not None:
                return await self.answer(keys)
            return {key: value_of(key) for key in keys}
        finally:
            self.running -= 1

    def times_asked(self, key: str) -> int:
        """Return how many times a key was asked for."""
        return sum(keys.count(key) for keys in self.batches)


class Caller:
    """One task that loads a key, and what has become of it."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.outcome: object = HANGS
        self.raised = False
        self.cancel: Callable[[], object]

    async def run(self, loads: Loads) -> None:
        """Load the key."""
        try:
            self.outcome = await loads.load(self.key)
        except anyio.get_cancelled_exc_class():
            self.outcome = CANCELLED
            raise
        except Exception as error:  # noqa: BLE001 - whatever a rival raises
            self.outcome = error
            self.raised = True

    def wrong(self) -> str:
        """Say what has become of it, if it has not got its value."""
        if self.outcome == value_of(self.key):
            return ""
        return self.told()

    def told(self) -> str:
        """Say what has become of it."""
        if self.outcome in {HANGS, CANCELLED}:
            return str(self.outcome)
        if self.raised:
            return f"gets {type(self.outcome).__name__}"
        return f"gets {self.outcome!r}"


Start = Callable[[str], Caller]
"""Starts a caller of a key."""


class Probe:
    """A loader, what it loads from, and its callers."""

    def __init__(self, loader: Loader, backend: str) -> None:
        self.loader = loader
        self.backend = backend
        self.source = Source()

    def make(self, **settings: Any) -> Loads:
        """Make the loader."""
        return self.loader.make(self.source.load_batch, Settings(**settings))

    @asynccontextmanager
    async def callers(self, loads: Loads) -> AsyncGenerator[Start, None]:
        """Yield what starts a caller; in the end all are cancelled."""
        started: list[Caller] = []
        async with crowd_of(self.backend) as crowd:

            def start(key: str) -> Caller:
                caller = Caller(key)
                caller.cancel = crowd.start_cancellable(caller.run, loads)
                started.append(caller)
                return caller

            try:
                yield start
            finally:
                for caller in started:
                    caller.cancel()

    @asynccontextmanager
    async def opened(self, **settings: Any) -> AsyncGenerator[Start, None]:
        """Open the loader; yield what starts a caller of it."""
        async with self.make(**settings) as loads, self.callers(loads) as start:
            try:
                yield start
            finally:
                self.source.gate.set()  # closing waits for the batches that nobody stops

    async def land(self) -> None:
        """Open the gate, when all that is before it has happened."""
        await settle()
        self.source.gate.set()
        await settle()


def first_wrong(callers: list[Caller]) -> str:
    """Say what is wrong with the first of them that has not got its value."""
    return next(filter(None, (caller.wrong() for caller in callers)), "")


def times_wrong(probe: Probe, key: str, expected: int) -> str:
    """Say how many times a key was asked for, if that was not expected."""
    asked = probe.source.times_asked(key)
    return "" if asked == expected else f"asks for it {asked} times"
