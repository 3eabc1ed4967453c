"""What a program of a batch loader is: frozen data, as that of a coalescer in plans.py.

What a batch does is decided by its number, in the order in which batches begin: a call brings keys,
and no work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from proof.plans import NOW, Delay, End, Forget, Way

OTHER = "xy"
"""The keys of the other loader; all others are the first one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One call of `load`, or of `load_many`."""

    keys: tuple[str, ...]
    """All of one loader. Just one, unless it is `load_many`."""

    many: bool = False
    at: Delay = NOW
    """When it is made: after the start of the program, or of the work that makes it."""

    fresh: bool = False
    way: Way = "scope"
    cancel: Delay | None = None
    """How long after it was made, or so, it is cancelled from outside."""

    doomed: bool = False
    """Whether it is cancelled already when it is made."""

    def __str__(self) -> str:
        return f"{', '.join(map(repr, self.keys))}{', fresh' if self.fresh else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the batch function does with one batch."""

    lasts: Delay = NOW
    """How long it goes on before it makes its calls, if any, and ends."""

    ending: Literal["value", "error", "foreign", "nothing"] = "value"
    """What it ends with. Foreign is a cancellation that was meant for something else; nothing is
    what is no mapping."""

    without: str = ""
    """The keys that it leaves out, if they are asked for."""

    failing: str = ""
    """Those for which it returns an error."""

    cleanup: Delay | None = None
    """How long it stays in a shielded clean-up when it is cancelled."""

    stubborn: bool = False
    """Whether it returns values in spite of being cancelled."""

    calls: tuple[Load, ...] = ()
    """The calls that it makes itself, to any key: so circles can be formed, and must be refused."""

    together: bool = False
    """Whether it makes these calls in tasks of a group, or one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The options of a loader that bound batches, and what else it is given."""

    max_batch_size: int = 100
    max_delay: float = 0.0
    max_concurrent_batches: int = 4
    tokens: int | None = None
    """How many the limiter has, which both loaders share; None: there is no limiter."""

    flight_timeout: float | None = None
    listens: bool = False
    """Whether an instrument counts what it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderProgram:
    """A batch loader, and all that happens to it; and another like it, if its keys are called."""

    calls: tuple[Load, ...]
    forgets: tuple[Forget, ...] = ()
    end: End = End()  # noqa: RUF009 - it is frozen
    batches: tuple[Batch, ...] = ()
    """What the first so many do; all others return values at once."""

    copies: bool = False
    """Whether the loaders copy values."""

    context: Literal["caller", "owner"] = "caller"
    bounds: Bounds = Bounds()

    of: ClassVar = "loader"
    """What it is about: its name among the subjects."""

    def all_keys(self) -> list[str]:
        """Return every key that is called."""
        calls = [*self.calls, *(call for batch in self.batches for call in batch.calls)]
        return sorted({key for call in calls for key in call.keys})
