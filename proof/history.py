"""What happened in a run: every call and every execution, on one line of time.

A tick is a place in the order of events, a time is the virtual clock's. Both are written in the
very step in which the thing happens: a call's before `execute` is called and when it has answered,
an execution's in its first and in its last step. So they are the order that the coalescer saw.
For a batch loader a call is one of `load` or `load_many`, and an execution is that of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

NEVER = float("inf")


class Mark:
    """A thing with a name and nothing else."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


PENDING = Mark("pending")
CANCELLED = Mark("cancelled")
NOT_MADE = Mark("cancelled before it was made")


class Instant(NamedTuple):
    """When something happened."""

    tick: float
    time: float


FOREVER = Instant(NEVER, NEVER)


@dataclass(eq=False, slots=True)
class CallRecord:
    """What became of one call."""

    number: int
    plan: Any
    """What the program says of it."""
    parent: Run | None
    made: Instant = FOREVER
    cancelled: Instant = FOREVER
    """When it was asked to stop, from outside and by itself alone."""
    gave_up: Instant = FOREVER
    """When its fallback began."""
    ended: Instant = FOREVER
    outcome: Any = PENDING
    cancel: Callable[[], object] | None = None
    """Set when there is something to cancel; use `History.cancel`."""

    @property
    def left(self) -> Instant:
        """When it waited no longer."""
        return min(self.gave_up, self.ended)

    @property
    def waits(self) -> bool:
        """Whether it is under way."""
        return self.made is not FOREVER and self.outcome is PENDING

    def __repr__(self) -> str:
        return f"call {self.number}"


@dataclass(eq=False, slots=True, kw_only=True)
class Run:
    """One execution of a function, of whatever kind."""

    number: int
    context: CallRecord | None
    """The call in whose context variables it ran."""
    began: Instant
    doomed: bool = False
    """Whether its task or its scope was being cancelled when it began."""
    cancelled: Instant = FOREVER
    """When it noticed that it was cancelled."""
    ended: Instant = FOREVER
    ending: str = "none"

    @property
    def running_now(self) -> bool:
        """Whether it is under way."""
        return self.ended is FOREVER

    def __repr__(self) -> str:
        return f"execution {self.number}"


@dataclass(eq=False, slots=True, kw_only=True, repr=False)
class Execution(Run):
    """One execution of the function of a call."""

    key: str
    starter: CallRecord
    """The call whose work it does."""
    running: list[Execution]
    """The executions of this key that were under way when it began."""
    result: Result | None = None


@dataclass(eq=False, slots=True)
class Result:
    """The value of an execution, or of a call's fallback."""

    source: Run | CallRecord
    copy_of: Result | None = None
    key: str | None = None
    """Of a batch: for which of its keys it is."""

    def __repr__(self) -> str:
        of_key = "" if self.key is None else f", for {self.key!r}"
        return f"{'a copy of ' * (self.copy_of is not None)}the value of {self.source}{of_key}"


def copied(result: Result) -> Result:
    """Copy a value."""
    return Result(result.source, copy_of=result, key=result.key)


class WorkError(Exception):
    """What work raises that fails, or returns for a key."""

    def __init__(self, source: Run, key: str | None = None) -> None:
        super().__init__(source, key)
        self.source = source
        self.key = key


@dataclass(eq=False, slots=True)
class ForgetRecord:
    """One call of `forget`."""

    key: str
    when: Instant
    answer: bool = True


class Event(NamedTuple):
    """A line of the history."""

    when: Instant
    what: str


R = TypeVar("R", bound=Run)


@dataclass(eq=False, slots=True)
class History(Generic[R]):
    """All that happened in one run."""

    clock: Callable[[], float] = lambda: 0.0
    calls: list[CallRecord] = field(default_factory=list)
    executions: list[R] = field(default_factory=list)
    forgets: list[ForgetRecord] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    remarks: list[tuple[int | None, str]] = field(default_factory=list)
    """What was found wrong in passing: the number of the law, if any, and a sentence."""

    leaving: Instant = FOREVER
    """When the owner began to leave its block, or was told to."""
    closing: Instant = FOREVER
    """When the block came to its end, and the coalescer began to close."""
    aborted: Instant = FOREVER
    """When it began to leave, or was told to, if that is by an error or a cancellation."""
    closed: Instant = FOREVER
    owner: Any = PENDING
    """What came out of the block: None, CANCELLED, or an exception."""
    leader_cancelled: Instant = FOREVER
    """When a leader's task was cancelled natively, from outside."""
    statistics: Any = None
    """As they were when all calls had ended; None if they never did."""

    def note(self, what: str) -> Instant:
        """Write a line; return when that was."""
        when = Instant(len(self.events), self.clock())
        self.events.append(Event(when, what))
        return when

    def remark(self, law: int | None, text: str) -> None:
        """Say that something is wrong."""
        self.note(f"WRONG: {text}")
        self.remarks.append((law, text))

    def cancel(self, call: CallRecord) -> None:
        """Cancel a call from outside, if it is under way."""
        if call.waits:
            if call.cancelled is FOREVER:
                call.cancelled = self.note(f"{call} is told to stop")
            if call.cancel is not None:
                call.cancel()
