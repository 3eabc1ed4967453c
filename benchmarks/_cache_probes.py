"""What a probe of a cache is made of: a source, callers, and what has become of them.

Time is virtual, and waits are for gates or for that. So a caller that still waits after some turns
of the event loop, with no gate closed, will wait for ever.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from benchmarks._cache import Cache, KeptError, LacksError, Settings
from benchmarks._caches import Kind
from benchmarks._crowd import Crowd, crowd_of
from benchmarks._probes import CANCELLED, HANGS

TTL = 10
"""For how long values are fresh, where they expire."""
LACKS = "has no way to"
A_MOMENT = 1e-6
MANY = 1_000
"""Callers at once."""


class Source:
    """What is loaded from: the first value of "a" is "a1", the next one "a2".

    What a load does is settled when it begins.

    :ivar gate: what a load waits for, if anything
    :ivar seconds: how long it takes then
    :ivar answer: called then with the key, in place of returning a value
    """

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.batches: list[list[str]] = []
        self.times: list[float] = []
        self.running = 0
        self.gate: anyio.Event | None = None
        self.seconds = 0.0
        self.answer: Callable[[str], Any] | None = None

    async def load(self, key: str) -> Any:
        """Load one value."""
        self.loads.append(key)
        self.times.append(anyio.current_time())
        gate, answer, number = self.gate, self.answer, self.loads.count(key)
        self.running += 1
        try:
            await checkpoint()
            if gate is not None:
                await gate.wait()
            if self.seconds:
                await anyio.sleep(self.seconds)
            return f"{key}{number}" if answer is None else answer(key)
        finally:
            self.running -= 1

    async def load_batch(self, keys: Sequence[str]) -> dict[str, Any]:
        """Load many values."""
        self.batches.append([*keys])
        gate = self.gate
        if gate is not None:
            await gate.wait()
        return {key: key for key in keys}

    def close_gate(self) -> anyio.Event:
        """Let loads that begin from now on wait; return what lets them go on."""
        self.gate = anyio.Event()
        return self.gate

    def fail(self) -> None:
        """Let loads that begin from now on fail."""

        def answer(key: str) -> Any:
            raise KeptError(key)

        self.answer = answer

    def times_wrong(self, expected: int) -> str:
        """Say how often it was asked, if that was not expected."""
        asked = len(self.loads)
        return "" if asked == expected else f"asks {asked:,} times, not {expected:,}"


class Caller:
    """One task that asks for a value, and what has become of it."""

    def __init__(self) -> None:
        self.outcome: Any = HANGS
        self.cancel: Callable[[], object]

    async def run(self, ask: Callable[[Any], Any], argument: Any) -> None:
        """Ask."""
        try:
            self.outcome = await ask(argument)
        except anyio.get_cancelled_exc_class():
            self.outcome = CANCELLED
            raise
        except LacksError:
            self.outcome = LACKS
        except Exception as error:  # noqa: BLE001 - whatever a rival raises
            self.outcome = error

    def wrong(self, expected: object) -> str:
        """Say what has become of it, if that was not expected."""
        if type(self.outcome) is type(expected) and self.outcome == expected:
            return ""
        if self.outcome in (HANGS, CANCELLED, LACKS):
            return str(self.outcome)
        if isinstance(self.outcome, Exception):
            return f"gets {type(self.outcome).__name__}"
        return f"gets {self.outcome!r}"

    def failed_wrong(self) -> str:
        """Say what has become of it, if it has not got the source's error."""
        return "" if isinstance(self.outcome, KeptError) else self.wrong(KeptError)


def first_wrong(callers: Iterable[Caller], expected: object) -> str:
    """Say what is wrong with the first of them that has not got what was expected."""
    return next(filter(None, (caller.wrong(expected) for caller in callers)), "")


class Probe:
    """A cache that is open, its source, and its callers."""

    def __init__(self, cache: Cache, source: Source, crowd: Crowd) -> None:
        self.cache = cache
        self.source = source
        self.callers: list[Caller] = []
        self._crowd = crowd

    async def start(self, key: Any, count: int = 1, *, many: bool = False) -> list[Caller]:
        """Start some callers of a key, or of many keys; return when all wait or have ended."""
        ask: Any = self.cache.get_many if many else self.cache.get
        started: list[Caller] = []
        for _ in range(count):
            caller = Caller()
            caller.cancel = self._crowd.start_cancellable(caller.run, ask, key)
            started.append(caller)
        self.callers += started
        await self.settle()
        return started

    async def ask(self, key: str, expected: object) -> str:
        """Say what a caller of a key gets, if that is not what is expected."""
        (caller,) = await self.start(key)
        return caller.wrong(expected)

    async def settle(self) -> None:
        """Let all happen that can: virtual time goes on when every task waits."""
        before, now = -1, await self.cache.rest()
        while now != before:
            await anyio.sleep(A_MOMENT)
            before, now = now, await self.cache.rest()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and let happen what then can."""
        await self.settle()
        await anyio.sleep(seconds)
        await self.settle()

    async def open_gate(self) -> None:
        """Let all loads go on, and let happen what then can."""
        if self.source.gate is not None:
            self.source.gate.set()
            self.source.gate = None
        await self.settle()


Opens = Callable[..., AbstractAsyncContextManager["Probe"]]
"""Opens a cache with some settings, and yields a `Probe`."""


def opener(kind: Kind, backend: str) -> Opens:
    """Return what opens a cache for a probe; in the end its callers are cancelled."""

    @asynccontextmanager
    async def opened(
        cache: Cache | None = None, source: Source | None = None, **settings: Any
    ) -> AsyncGenerator[Probe, None]:
        source = source or Source()
        cache = cache or kind.make(source, Settings(**settings))
        async with cache, crowd_of(backend) as crowd:
            probe = Probe(cache, source, crowd)
            try:
                yield probe
            finally:
                if source.gate is not None:
                    source.gate.set()
                await probe.settle()
                for caller in probe.callers:
                    caller.cancel()
                await probe.settle()

    return opened
