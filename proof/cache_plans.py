"""What a program of a cache is: frozen data, as that of a coalescer in plans.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from proof.plans import NOW, Delay, End, Forget, Way

TAGS = {"a": ("t",), "b": ("t", "u"), "c": ("u",), "d": ()}
"""The keys, and the tags that a value for each is given, whoever brings it."""

Deed: TypeAlias = Literal["get", "get_many", "peek", "set", "invalidate", "invalidate_tag", "clear"]
WRITES: tuple[Deed, ...] = ("set", "invalidate", "invalidate_tag", "clear")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """What a function does that fetches a value, or the batch function with one batch."""

    lasts: Delay = NOW
    """How long it goes on before it makes its calls, if any, and ends."""

    ending: Literal["value", "error", "kept", "foreign"] = "value"
    """What it ends with: a value, an error, one of those that are kept if any are, or a
    cancellation that was meant for something else."""

    without: str = ""
    """The keys that it leaves out, if it is a batch."""

    cleanup: Delay | None = None
    """How long it stays in a shielded clean-up when it is cancelled."""

    stubborn: bool = False
    """Whether it returns its value in spite of being cancelled."""

    calls: tuple[Use, ...] = ()
    """The calls that it makes itself: to fetch values of greater keys, so no circle can be formed;
    to write any."""

    together: bool = False
    """Whether it makes these calls in tasks of a group, or one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One call of a method of the cache."""

    do: Deed = "get"
    keys: tuple[str, ...] = ("a",)
    """What it is for: just one key, but for `get_many`. `clear` and `invalidate_tag` need none."""

    tag: str = "t"
    """Of `invalidate_tag`."""

    at: Delay = NOW
    """When it is made: after the start of the program, or of the work that makes it."""

    work: Fetching = Fetching()
    """Of `get`: what its function does."""

    fresh: bool = False
    way: Way = "scope"
    cancel: Delay | None = None
    """How long after it was made, or so, it is cancelled from outside."""

    doomed: bool = False
    """Whether it is cancelled already when it is made."""

    def written(self) -> tuple[str, ...]:
        """Return the keys of which it changes what is kept."""
        if self.do not in WRITES:
            return ()
        if self.do == "clear":
            return (*TAGS,)
        if self.do == "invalidate_tag":
            return tuple(key for key, tags in TAGS.items() if self.tag in tags)
        return self.keys

    def __str__(self) -> str:
        what = self.tag if self.do == "invalidate_tag" else ", ".join(map(repr, self.keys))
        return f"{self.do} {what}{', fresh' if self.fresh else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelving:
    """How the store behaves: it is honest, but may be slow, and fail."""

    before: Delay = NOW
    """How long each of its methods takes before it has its effect; `set` takes twice as long."""

    after: Delay = NOW
    """How long it takes after that."""

    failing: tuple[str, ...] = ()
    """The methods of which the first call, and then every second one, raises and does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the cache."""

    ttl: float = 1.0
    ttl_jitter: float = 0.0
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    refresh_ahead: float = 0.0
    kept: float | None = None
    """How long errors are kept that are to be."""

    missing: float | None = None
    """How long it is kept that a batch has left out a key."""

    max_entries: int = 100
    store: Shelving | None = None
    on_abandon: Literal["cancel", "finish"] = "cancel"
    retries: bool = False
    """Whether an error of the work brings a second attempt to those who joined."""

    flight_timeout: float | None = None
    copies: bool = False
    context: Literal["caller", "owner"] = "caller"
    listens: bool = False
    """Whether an instrument counts what it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheProgram:
    """A cache, and all that happens to it; and the loader of its `get_many`."""

    calls: tuple[Use, ...]
    end: End = End()  # noqa: RUF009 - it is frozen
    batches: tuple[Fetching, ...] = ()
    """What the first so many batches do; all others return values at once."""

    options: Options = Options()
    draws: int = 0
    """The seed of what the cache draws at random."""

    of: ClassVar = "cache"
    """What it is about: its name among the subjects."""

    forgets: ClassVar[tuple[Forget, ...]] = ()

    def all_keys(self) -> list[str]:
        """Return every key that there is."""
        return [*TAGS]
