"""What a program is played with: the coalescer, its limiter and its instrument."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any

import anyio

from anyflight import (
    CallJoined,
    CallLeft,
    Coalescer,
    CoalescerStatistics,
    FlightLanded,
    FlightStarted,
    FlightTimeoutError,
    Instrument,
)
from proof.history import History, Result, WorkError, copied
from proof.plans import Program

NAME = "under proof"
"""The name of what is under proof, which those of its tasks contain."""

ERRORS: dict[str, type[Exception]] = {"error": WorkError, "timeout": FlightTimeoutError}


class Ear(Instrument):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()

    def flight_started(self, event: FlightStarted) -> None:  # noqa: ARG002 - anyflight's interface
        """Count it."""
        self.heard["flights"] += 1

    def call_joined(self, event: CallJoined) -> None:  # noqa: ARG002 - anyflight's interface
        """Count it."""
        self.heard["joined"] += 1

    def call_left(self, event: CallLeft) -> None:  # noqa: ARG002 - anyflight's interface
        """Count it."""
        self.heard["left"] += 1

    def flight_landed(self, event: FlightLanded) -> None:
        """Count it, and those who are given its outcome."""
        self.heard[event.outcome] += 1
        self.heard["served"] += event.waiters


class Setting(ABC):
    """What a program is played with; its subjects are to be opened in an event loop.

    :ivar subjects: what is under proof, in the order of opening
    :ivar ears: the instrument of each, if they have any
    """

    def __init__(self, *, tokens: int | None, listens: bool, subjects: int = 1) -> None:
        self.limiter = None if tokens is None else anyio.CapacityLimiter(tokens)
        self.ears = [Ear() for _ in range(subjects)] if listens else []
        self.subjects: Sequence[Any]

    @abstractmethod
    def statistics(self) -> Any:
        """Return the statistics to be looked at in the end."""

    @abstractmethod
    async def once_more(self, key: str, again: Result) -> Result:
        """Open everything again, and return what a call is given whose work returns ``again``."""

    def unattended(self) -> int:
        """Return of how many waiters, at most, there need be no call."""
        return 0

    def look_at_bounds(self, history: History[Any]) -> None:
        """Check what must never be exceeded."""
        if self.limiter is not None:
            running = sum(one.running_now for one in history.executions)
            now = self.limiter.statistics()
            if not running <= now.borrowed_tokens <= now.total_tokens:
                history.remark(12, f"{running} executions run, and the limiter says: {now}")

    def look_at_what_is_left(self, history: History[Any]) -> None:
        """Check that nothing is left of flights when there is none any more."""
        for subject in self.subjects:
            if subject.flights():
                history.remark(16, f"flights are left: {subject.flights()}")
        if self.limiter is not None:
            now = self.limiter.statistics()
            if now.borrowed_tokens or now.tasks_waiting:
                history.remark(16, f"tokens were not given back: {now}")


class CoalescerSetting(Setting):
    """The coalescer of a program."""

    def __init__(self, program: Program) -> None:
        self.policies = policies = program.policies
        super().__init__(tokens=policies.tokens, listens=policies.listens)
        self.coalescer = Coalescer[str, Result](
            name=NAME,
            on_abandon=program.on_abandon,
            copy=copied if program.copies else None,
            context=program.context,
            retry_on=tuple(ERRORS[each] for each in policies.retry_on),
            flight_timeout=policies.flight_timeout,
            max_join_age=policies.max_join_age,
            max_waiters=policies.max_waiters,
            limiter=self.limiter,
            instruments=self.ears,
        )
        self.subjects = (self.coalescer,)

    def statistics(self) -> CoalescerStatistics:
        """Return those of the coalescer."""
        return self.coalescer.statistics()

    async def once_more(self, key: str, again: Result) -> Result:
        """Execute once."""

        async def work() -> Result:
            return again

        async with self.coalescer:
            return await self.coalescer.execute(key, work)

    def look_at_bounds(self, history: History[Any]) -> None:
        """Check that not too many wait, nor run, and that who waits for a token has a reason."""
        super().look_at_bounds(history)
        flights, most = self.coalescer.flights(), self.policies.max_waiters
        if most is not None and any(each.waiters > most for each in flights):
            history.remark(12, f"more than {most} wait: {flights}")
        if self.limiter is None:
            return
        # A leader that is cancelled leaves the limiter's queue some turns later, in no time.
        time = history.clock()
        quiet = self.policies.flight_timeout is None and all(
            call.left.time != time for call in history.calls
        )
        without = sum(not each.age for each in flights)
        now = self.limiter.statistics()
        if quiet and now.tasks_waiting > without:
            history.remark(3, f"{without} flights have not begun, and the limiter says: {now}")
