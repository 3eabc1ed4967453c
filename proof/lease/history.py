"""What happened in a run: calls, their parts in the protocol, executions, requests, messages.

Everything has its place in one order of events, the tick, and its time on the virtual clock. What
the server did is written down in the order in which it did it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from anyflight.lease import Acquired, Notice, Outcome
from proof.history import FOREVER, PENDING, Event, Instant
from proof.lease import plans


@dataclass(eq=False, slots=True)
class Lived:
    """What became of one process."""

    number: int
    plan: plans.Process
    paused: list[tuple[Instant, Instant]] = field(default_factory=list)
    """From when until when it made no step."""
    killed: Instant = FOREVER
    stopped: Instant = FOREVER
    left: Instant = FOREVER
    """When its block had been left."""
    heard: list[tuple[Instant, Notice]] = field(default_factory=list)
    live: list[Instant] = field(default_factory=list)
    """When it had its subscription, at first and again."""
    statistics: Any = None
    """As they were when its block had been left."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    """What is cancelled when it is stopped."""

    @property
    def is_gone(self) -> bool:
        """Whether it was killed, or has left."""
        return self.killed is not FOREVER or self.left is not FOREVER

    def was_paused(self, since: float, until: float) -> bool:
        """Whether it was paused at any time between these, both included."""
        return any(a.time <= until and since <= b.time for a, b in self.paused)

    def stood(self, since: float, until: float) -> bool:
        """Whether it was neither paused, nor killed, nor stopped between these."""
        gone = min(self.killed, self.stopped).time
        return until < gone and not self.was_paused(since, until)

    def __str__(self) -> str:
        return f"process {self.number}"


@dataclass(eq=False, slots=True)
class Called:
    """One call of ``execute`` by the program, of a coalescer or a lease."""

    number: int
    plan: plans.Call
    process: Lived
    made: Instant
    ended: Instant = FOREVER
    cancelled: float = FOREVER.time
    """When it was told to stop."""
    outcome: Any = PENDING

    def __str__(self) -> str:
        return f"call {self.number}"


@dataclass(eq=False, slots=True)
class Part:
    """One call of ``Lease.execute``: the program's own, or a flight's of a coalescer."""

    number: int
    process: Lived
    key: str
    fresh: bool
    began: Instant
    ended: Instant = FOREVER
    outcome: Any = PENDING
    cancelled: bool = False
    asks: list[Ask] = field(default_factory=list)
    """Its requests for the lease."""

    def __str__(self) -> str:
        return f"part {self.number}"


@dataclass(eq=False, slots=True)
class Executed:
    """One execution of the function of a call."""

    number: int
    part: Part
    plan: plans.Work
    epoch: int
    """Its fencing number; 0: it had none."""
    began: Instant
    cancelled: Instant = FOREVER
    """When it noticed that it was told to stop."""
    ended: Instant = FOREVER
    ending: str = "nothing"

    @property
    def process(self) -> Lived:
        """Where it ran."""
        return self.part.process

    @property
    def key(self) -> str:
        """What it was for."""
        return self.part.key

    @property
    def told(self) -> Instant:
        """When it had ended, or had been told to, or was killed."""
        return min(self.cancelled, self.ended, self.process.killed)

    def __str__(self) -> str:
        return f"execution {self.number}"


@dataclass(eq=False, slots=True)
class Invalidated:
    """One call of ``invalidate``."""

    key: str
    process: Lived
    made: Instant
    ended: Instant = FOREVER
    done: bool = False
    """Whether it returned."""
    error: Exception | None = None


@dataclass(eq=False, slots=True)
class Forgot:
    """One call of ``forget`` that found a flight."""

    key: str
    process: Lived
    when: Instant


@dataclass(eq=False, slots=True)
class Ask:
    """One request."""

    process: Lived
    part: Part | None
    """Which asks; none does for a renewal, a subscription, an invalidation."""
    method: str
    key: str
    token: str
    args: dict[str, Any]
    number: int = 0
    sent: Instant = FOREVER
    event: trio.Event = field(default_factory=trio.Event)
    """Set when there is an answer, or an error."""
    connection: int = 0
    """The life of the server in which it was sent."""
    arrived: Instant = FOREVER
    """When the server did what was asked."""
    answer: Any = None
    """What the server said; None if it did nothing."""
    error: str = ""
    """What the network said instead."""
    returned: Instant = FOREVER
    """When whoever asked went on, with an answer or without."""
    failed: bool = False

    @property
    def since(self) -> int:
        """Of an acquisition: see :class:`LeaseStore`."""
        since: int = self.args["since"]
        return since

    @property
    def outcome(self) -> Outcome:
        """Of a commit: what is to be stored."""
        outcome: Outcome = self.args["outcome"]
        return outcome

    @property
    def got(self) -> Acquired | None:
        """Of an acquisition: what whoever asked was told; None if nothing."""
        return None if self.failed or self.returned is FOREVER else self.answer

    def __str__(self) -> str:
        key, token = self.key and f" {self.key}", self.token and f" {self.token}"
        return f"request {self.number} of {self.process}, {self.method}{key}{token}"


@dataclass(eq=False, slots=True)
class Forgotten:
    """The server lost its memory."""

    when: Instant


@dataclass(eq=False, slots=True)
class LeaseHistory:
    """All that happened in one run."""

    clock: Callable[[], float] = lambda: 0.0
    processes: list[Lived] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    executions: list[Executed] = field(default_factory=list)
    invalidations: list[Invalidated] = field(default_factory=list)
    forgets: list[Forgot] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    server: list[Ask | Forgotten] = field(default_factory=list)
    """What it did, in that order."""
    over: Instant = FOREVER
    """When no process was left."""
    remarks: list[tuple[int | None, str]] = field(default_factory=list)
    """What was found wrong in passing: the number of the law, if any, and a sentence."""
    lines: list[tuple[float, tuple[object, ...]]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    """Short ones for those that were drawn: the same in each run."""

    def note(self, *what: object) -> Instant:
        """Write a line, of which the text is made when it is read; return when that was."""
        time = self.clock()
        self.lines.append((time, what))
        return Instant(len(self.lines), time)

    def end(self) -> None:
        """Take away what was written when the tasks of those were ended who had been killed."""
        for call in self.calls:
            if self.over.tick < call.ended.tick:
                call.ended, call.outcome = FOREVER, PENDING
        for part in self.parts:
            if self.over.tick < part.ended.tick:
                part.ended, part.outcome = FOREVER, PENDING
        for one in self.executions:
            if self.over.tick < one.cancelled.tick:
                one.cancelled = FOREVER
            if self.over.tick < one.ended.tick:
                one.ended = FOREVER
        for ask in self.asks:
            if self.over.tick < ask.returned.tick:
                ask.returned, ask.failed = FOREVER, False

    def short(self, token: str) -> str:
        """Return what a token is called here."""
        return token and self.tokens.setdefault(token, f"t{len(self.tokens)}")

    def sends(self, ask: Ask) -> None:
        """Write a request that is about to be sent."""
        ask.number, ask.token = len(self.asks), self.short(ask.token)
        self.asks.append(ask)
        if ask.part is not None and ask.method == "acquire":
            ask.part.asks.append(ask)
        ask.sent = self.note(ask)

    def obeys(self, ask: Ask) -> None:
        """Write that a request has come to the server, which does now what it asks for."""
        ask.arrived = self.note(ask, "arrives")
        self.server.append(ask)

    def hears(self, process: Lived, notice: Notice) -> None:
        """Write that a message has come to a process."""
        process.heard.append((self.note(process, "hears", notice), notice))

    def remark(self, law: int | None, text: str) -> None:
        """Say that something is wrong."""
        self.note(f"WRONG: {text}")
        self.remarks.append((law, text))

    @property
    def events(self) -> list[Event]:
        """The lines, to be read."""
        return [
            Event(Instant(tick, time), " ".join(map(str, what)))
            for tick, (time, what) in enumerate(self.lines, 1)
        ]
