"""What a program is: frozen data that says who calls what, when, and what becomes of it.

It also says which policies the coalescer has; most programs have none.

A program says nothing of the order in which tasks run that are ready at the same time: that is the
schedule's part. Times are multiples of a quarter of a second on a virtual clock, so that many
things fall on one moment, and so that no sum of them is ever rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

Way: TypeAlias = Literal["scope", "native", "native timeout"]
"""How a task is cancelled: by a scope of anyio, or by what its back end has of its own."""

WAYS: tuple[Way, ...] = ("scope", "native", "native timeout")


@dataclass(frozen=True, slots=True)
class Delay:
    """A wait: some time on the virtual clock, then so many turns of the event loop."""

    seconds: float = 0.0
    turns: int = 0


NOW = Delay()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the function does, if the call that brings it becomes the starter of a flight."""

    lasts: Delay = NOW
    """How long it goes on before it makes its calls, if any, and ends."""

    ending: Literal["value", "error", "foreign"] = "value"
    """What it ends with; foreign is a cancellation that was meant for something else."""

    cleanup: Delay | None = None
    """How long it stays in a shielded clean-up when it is cancelled."""

    stubborn: bool = False
    """Whether it returns its value in spite of being cancelled."""

    calls: tuple[Call, ...] = ()
    """The calls that it makes itself, to keys greater than its own: so no circle can be formed."""

    together: bool = False
    """Whether it makes these calls in tasks of a group, or one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of `execute`."""

    key: str
    at: Delay = NOW
    """When it is made: after the start of the program, or of the work that makes it."""

    work: Work = Work()
    fresh: bool = False
    timeout: float | None = None

    fallback: Delay | None = None
    """How long the fallback takes; None: there is none."""

    way: Way = "scope"

    cancel: Delay | None = None
    """How long after it was made, or so, it is cancelled from outside."""

    doomed: bool = False
    """Whether it is cancelled already when it is made."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that it asks for."""
        return (self.key,)

    def __str__(self) -> str:
        return f"{self.key!r}{', fresh' if self.fresh else ''}"


@dataclass(frozen=True, slots=True)
class Forget:
    """One call of `forget`."""

    key: str
    at: Delay = NOW


@dataclass(frozen=True, slots=True)
class End:
    """How and when the block of the coalescer is left."""

    how: Literal["leave", "cancel", "fail"] = "leave"
    at: Delay = Delay(10.0)
    way: Way = "scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The options that bound sharing, or change who shares with whom."""

    retry_on: tuple[Literal["error", "timeout"], ...] = ()
    """What brings a second attempt: an error of the work, or the flight's time being over."""

    tokens: int | None = None
    """How many the limiter has; None: there is no limiter."""

    flight_timeout: float | None = None
    max_join_age: float | None = None
    max_waiters: int | None = None

    listens: bool = False
    """Whether an instrument counts what it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One coalescer, and all that happens to it."""

    calls: tuple[Call, ...]
    forgets: tuple[Forget, ...] = ()
    end: End = End()
    on_abandon: Literal["cancel", "finish"] = "cancel"
    copies: bool = False
    """Whether the coalescer copies values."""

    context: Literal["caller", "owner"] = "caller"
    policies: Policies = Policies()

    of: ClassVar = "coalescer"
    """What it is about: its name among the subjects."""

    def all_keys(self) -> list[str]:
        """Return every key that is called."""
        found: set[str] = set()
        rest = list(self.calls)
        while rest:
            call = rest.pop()
            found.add(call.key)
            rest.extend(call.work.calls)
        return sorted(found)
