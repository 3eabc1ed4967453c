"""What a history tells of values: where they came from, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from proof.cache_plans import Fetching
from proof.history import CallRecord, Instant, Result, Run, WorkError


class KeptError(WorkError):
    """What work raises that fails with an error to be kept."""


@dataclass(eq=False, slots=True, kw_only=True, repr=False)
class Fetch(Run):
    """One execution of a function that fetches a value, or of the batch function."""

    keys: tuple[str, ...]
    plan: Fetching
    starter: CallRecord | None
    """The call whose function it is; None: it is a batch."""
    running: list[Fetch]
    """The executions of its kind that were under way when it began."""

    @property
    def failed(self) -> bool:
        """Whether it raised an error of its own."""
        return self.ending in {"error", "kept"}

    def has(self, key: str) -> bool:
        """Whether it brought a value for a key."""
        return key in self.keys and self.ending == "value" and key not in self.left_out

    @property
    def left_out(self) -> str:
        """The keys for which it has nothing."""
        return "" if self.starter is not None else self.plan.without

    def __repr__(self) -> str:
        return f"{'batch' if self.starter is None else 'execution'} {self.number}"


Origin: TypeAlias = Fetch | CallRecord
"""Where a value or an error comes from: a call is one of `set`."""


def began(origin: Origin) -> Instant:
    """Return when the value was as it is for sure."""
    return origin.began if isinstance(origin, Fetch) else origin.made


def filled(origin: Origin) -> Instant:
    """Return when the value was there."""
    return origin.ended if isinstance(origin, Fetch) else origin.made


def values(call: CallRecord) -> dict[str, Result]:
    """Return the values that a call was given, by key."""
    if isinstance(call.outcome, dict):
        return call.outcome
    return {call.plan.keys[0]: call.outcome} if isinstance(call.outcome, Result) else {}


def origins(call: CallRecord, key: str) -> Iterator[Origin]:
    """Yield the origin of what a call was given for a key, if anybody knows."""
    if isinstance(call.outcome, WorkError):
        if key in call.outcome.source.keys:  # type: ignore[attr-defined]
            yield call.outcome.source  # type: ignore[misc]
    elif key in (given := values(call)):
        yield given[key].source  # type: ignore[misc]
