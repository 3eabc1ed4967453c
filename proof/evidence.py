"""What can be concluded from a history without knowing how the coalescer works."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from proof.history import (
    FOREVER,
    CallRecord,
    Execution,
    History,
    Instant,
    Result,
    Run,
    WorkError,
)
from proof.plans import Program

P = TypeVar("P")
R = TypeVar("R", bound=Run)


def source(call: CallRecord) -> Any:
    """Return whose outcome the call was given: itself for its fallback, None if nobody's."""
    return call.outcome.source if isinstance(call.outcome, Result | WorkError) else None


class Testimony(Generic[P, R]):
    """A program, its history, and what can be said whatever it was about."""

    def __init__(self, program: P, history: History[R]) -> None:
        self.program = program
        self.history = history
        self.calls = [call for call in history.calls if call.made is not FOREVER]
        self.executions = history.executions

    def gone(self) -> Instant:
        """Return when the owner was gone, or its group ended for a leader's sake.

        On asyncio that happens when a leader's task is cancelled natively before its first step.
        """
        if isinstance(self.history.owner, RuntimeError):
            return min(self.history.aborted, self.history.leader_cancelled)
        return self.history.aborted

    def struck(self, one: Run) -> bool:
        """Whether the execution's own task may have been cancelled from outside."""
        return one.cancelled.time == self.history.leader_cancelled.time


class Evidence(Testimony[Program, Execution]):
    """What can be concluded from the history of a coalescer."""

    def __init__(self, program: Program, history: History[Execution]) -> None:
        super().__init__(program, history)
        self.policies = program.policies

    def calls_of(self, one: Execution) -> list[CallRecord]:
        """Return the calls with the key of an execution."""
        return [call for call in self.calls if call.plan.key == one.key]

    def may_wait_for(self, one: Execution, when: Instant) -> list[CallRecord]:
        """Return the calls that may be waiters of the execution's flight right after an instant."""
        return [
            call
            for call in self.calls_of(one)
            if call.made.tick < when.tick < call.left.tick and self.may_have_waited(call, one)
        ]

    def may_have_waited(self, call: CallRecord, one: Execution) -> bool:
        """Whether the call, of the same key, may have waited for the execution's flight."""
        return source(call) in {one, None, call} or self.brings_another(one)

    def brings_another(self, one: Execution) -> bool:
        """Whether calls that joined the execution's flight may have flown once more."""
        retry_on = self.policies.retry_on
        failed = "error" in retry_on and one.ending == "error"
        return failed or ("timeout" in retry_on and self.may_have_expired(one, one.ended))

    def may_have_expired(self, one: Execution, when: Instant) -> bool:
        """Whether the deadline of the execution's flight may have come by then.

        It counts from the take-off. That is when the function is called, unless it waits for a
        token first: then it is some time after the call.
        """
        if self.policies.flight_timeout is None:
            return False
        took_off = one.began if self.policies.tokens is None else one.starter.made
        return took_off.time + self.policies.flight_timeout <= when.time

    def added(self, one: Execution) -> Instant:
        """Return an instant by which the flight of the execution surely was in the table.

        That is when its starter was made, but for a starter that may have flown once more.
        """
        if self.policies.retry_on and any(
            self.brings_another(other)
            and one.starter.made.tick < other.ended.tick
            and other.began.tick < one.began.tick
            for other in self.executions
            if other.key == one.key and other is not one
        ):
            return one.began
        return one.starter.made

    def may_serve(self, one: Execution, call: CallRecord) -> bool:
        """Whether the call may wait for the execution: it has begun later, or could be joined.

        It could not by a fresh call, nor when it had noticed that it was abandoned. If it was the
        owner that was cancelled, or the leader's task, then it has waiters still, and is joined.
        """
        if one.key != call.plan.key:
            return False
        abandoned = one.cancelled.tick < min(call.made, self.gone()).tick and not self.struck(one)
        return one.began.tick > call.made.tick or not (abandoned or call.plan.fresh)

    def waited_throughout(self, one: Execution, when: Instant) -> bool:
        """Whether somebody surely waited for the execution from before an instant to its end.

        It need not be the same one: whom it is abandoned by, it never gets back, unless it is to
        finish. So who waited for it in the end shows that somebody did before.
        """
        return any(
            source(call) is one and call.made.tick < when.tick for call in self.calls_of(one)
        )

    def forgotten(self, one: Execution, before: Instant) -> bool:
        """Whether the flight of the execution may have been detached before an instant."""
        return any(
            each.answer and each.key == one.key
            for each in self.history.forgets
            if one.starter.made.tick < each.when.tick < before.tick
        )

    def too_old(self, one: Execution, when: Instant) -> bool:
        """Whether the execution can be joined no more, for its age."""
        age = self.policies.max_join_age
        return age is not None and when.time - one.began.time > age

    def may_be_overtaken(self, one: Execution, before: Instant) -> bool:
        """Whether some call may have detached the execution's flight for its age.

        That is none of a flight which was abandoned and is cancelled for that.
        """
        if not self.too_old(one, before):
            return False
        if self.policies.retry_on:
            return True  # nobody sees when a second attempt is made
        return any(
            self.too_old(one, call.made)
            and call.made.tick < before.tick
            and (call.made.tick < one.cancelled.tick or self.struck(one))
            for call in self.calls_of(one)
        )

    def gates(self, one: Execution) -> list[Instant]:
        """Return when what kept the execution waiting, if anything did, may have gone."""
        same = [other for other in self.executions if other.key == one.key]
        tokens = self.policies.tokens is not None
        gates = [other.ended for other in (self.executions if tokens else same)]
        gates += [each.when for each in self.history.forgets if each.key == one.key]
        if self.policies.flight_timeout is not None:
            timeout = self.policies.flight_timeout
            gates += [Instant(other.began.tick, other.began.time + timeout) for other in same]
        if self.policies.max_join_age is not None:
            gates += [call.made for call in self.calls_of(one)]
        return gates
