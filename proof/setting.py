"""The coalescer of a program, with its limiter and its instrument."""

from __future__ import annotations

from collections import Counter

import anyio

from anyflight import (
    CallJoined,
    CallLeft,
    Coalescer,
    FlightLanded,
    FlightStarted,
    FlightTimeoutError,
    Instrument,
)
from proof.history import History, Result, WorkError, copied
from proof.plans import Program

NAME = "under proof"
"""The coalescer's, which the names of its tasks contain."""

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


class Setting:
    """What a program is played with; its coalescer is to be opened in an event loop."""

    def __init__(self, program: Program) -> None:
        self.policies = policies = program.policies
        self.limiter = None if policies.tokens is None else anyio.CapacityLimiter(policies.tokens)
        self.ear = Ear() if policies.listens else None
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
            instruments=[] if self.ear is None else [self.ear],
        )

    def look_at_the_tokens(self, history: History) -> None:
        """Check that each execution has a token, so that no more run than there are."""
        if self.limiter is None:
            return
        running = sum(one.running_now for one in history.executions)
        now = self.limiter.statistics()
        if not running <= now.borrowed_tokens <= now.total_tokens:
            history.remark(12, f"{running} executions run, and the limiter says: {now}")
        # A leader that is cancelled leaves the limiter's queue some turns later, in no time.
        time = history.clock()
        quiet = self.policies.flight_timeout is None and all(
            call.left.time != time for call in history.calls
        )
        without = sum(not each.age for each in self.coalescer.flights())
        if quiet and now.tasks_waiting > without:
            history.remark(3, f"{without} flights have not begun, and the limiter says: {now}")

    def look_at_what_is_left(self, history: History) -> None:
        """Check that nothing is left of flights when there is none any more."""
        if self.coalescer.flights():
            history.remark(16, f"flights are left: {self.coalescer.flights()}")
        if self.limiter is not None:
            now = self.limiter.statistics()
            if now.borrowed_tokens or now.tasks_waiting:
                history.remark(16, f"tokens were not given back: {now}")
