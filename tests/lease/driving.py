"""What a test says to a participant, and what it expects to hear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol, TypeVar

from tests.lease.participant import UNENCODABLE
from tests.lease.workers import PATIENCE, Worker

__all__ = (
    "KEY",
    "SLACK",
    "UNENCODABLE",
    "Driver",
    "Join",
    "JoinBy",
    "assert_shared",
    "eventually",
    "first_to_begin",
)

T = TypeVar("T")

KEY = "key"
"""The key of a call, unless the test says another."""

SLACK = 1.5
"""Seconds by which a busy machine may be late, where something is promised in time."""


class Driver:
    """The test's end of a participant, see `tests.lease.participant`."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._names = (f"call {number}" for number in count(1))

    def calls(self, key: str = KEY, *, through: str = "lease", **options: Any) -> Call:
        """Let it make a call."""
        name = next(self._names)
        self.worker.say("call", call=name, key=key, through=through, **options)
        return Call(self.worker, name)

    def leads(self, key: str = KEY, **options: Any) -> Call:
        """Let it make a call whose work begins, under a lease."""
        call = self.calls(key, **options)
        assert call.answer() == "won"
        assert call.begins()
        return call

    def waits(self, key: str = KEY, **options: Any) -> Call:
        """Let it make a call that waits for another's work."""
        call = self.calls(key, **options)
        assert call.answer() == "busy"
        return call

    def invalidates(self, key: str = KEY) -> None:
        """Let it invalidate a key; return when the server has obeyed."""
        self.worker.say("invalidate", key=key)
        self.worker.hear("invalidated")

    def counts(self) -> dict[str, int]:
        """Return its statistics."""
        self.worker.say("count")
        return self.worker.hear("counted")

    def leaves(self) -> dict[str, int]:
        """Let it leave when its calls have ended; return its statistics."""
        self.worker.say("leave")
        return self.worker.hear("left")


class Call:
    """One call of a participant."""

    def __init__(self, worker: Worker, name: str) -> None:
        self._worker = worker
        self._name = name

    def answer(self) -> str:
        """Return what the server has answered to its next request for a lease."""
        answer: str = self._hear("asked", PATIENCE)["answer"]
        return answer

    def begins(self, within: float = PATIENCE) -> int | None:
        """Wait until its work runs; return the fencing number."""
        number: int | None = self._hear("began", within)["epoch"]
        return number

    def has_begun(self) -> bool:
        """Whether its work runs, which is then as good as heard."""
        return self._worker.heard("began", call=self._name) is not None

    def finishes(self, value: Any = None, **how: Any) -> None:
        """Let its work end, now or as soon as it runs, with a value or an `error`."""
        self._worker.say("finish", call=self._name, value=value, **how)

    def is_cancelled(self) -> None:
        """Cancel it."""
        self._worker.say("cancel", call=self._name)

    def returns(self, within: float = PATIENCE) -> Any:
        """Return its value."""
        return self._hear("returned", within)["value"]

    def raises(self) -> tuple[str, str]:
        """Return type and message of its error."""
        said = self._hear("raised", PATIENCE)
        return said["type"], said["message"]

    def ends_cancelled(self, within: float = PATIENCE) -> None:
        """Wait until its cancellation is over."""
        self._hear("cancelled", within)

    def _hear(self, kind: str, within: float) -> dict[str, Any]:
        return self._worker.hear(kind, within, call=self._name)


def assert_shared(leader: Driver, waiter: Driver, key: str = KEY) -> None:
    """Check that two processes share a flight, as soon as both know that the server is there."""
    for each in (leader, waiter):
        eventually(lambda: _has_lease(each, key))  # noqa: B023 - called at once
    work = leader.leads(key)
    waiting = waiter.waits(key)
    work.finishes("shared")
    assert (work.returns(), waiting.returns()) == ("shared", "shared")


def _has_lease(driver: Driver, key: str) -> bool:
    call = driver.calls(key)
    number = call.begins()
    call.finishes()
    call.returns()
    return number is not None


class Join(Protocol):
    """What lets so many processes take part; see the fixture."""

    def __call__(self, number: int = 1, **options: Any) -> Iterator[Driver]: ...


class JoinBy(Protocol):
    """As `Join`, on a back end of the test's choice."""

    def __call__(self, backend: str, number: int = 1, **options: Any) -> Iterator[Driver]: ...


def first_to_begin(calls: Sequence[Call], within: float = PATIENCE) -> Call:
    """Return the first of these calls whose work runs."""
    return eventually(lambda: next((call for call in calls if call.has_begun()), None), within)


def eventually(find: Callable[[], T | None], within: float = PATIENCE) -> T:
    """Return what is found, as soon as it is."""
    deadline = time.monotonic() + within
    while not (found := find()):
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.002)
    return found
