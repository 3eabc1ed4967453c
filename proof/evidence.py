"""What can be concluded from a history without knowing how the coalescer works."""

from __future__ import annotations

from proof.history import FOREVER, CallRecord, Execution, History, Instant, Result, WorkError
from proof.plans import Program


def source(call: CallRecord) -> Execution | CallRecord | None:
    """Return whose outcome the call was given: itself for its fallback, None if nobody's."""
    return call.outcome.source if isinstance(call.outcome, Result | WorkError) else None


class Evidence:
    """A program, its history, and questions about them."""

    def __init__(self, program: Program, history: History) -> None:
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

    def calls_of(self, one: Execution) -> list[CallRecord]:
        """Return the calls with the key of an execution."""
        return [call for call in self.calls if call.plan.key == one.key]

    def may_wait_for(self, one: Execution, when: Instant) -> list[CallRecord]:
        """Return the calls that may be waiters of the execution's flight right after an instant."""
        return [
            call
            for call in self.calls_of(one)
            if call.made.tick < when.tick < call.left.tick and source(call) in {one, None, call}
        ]

    def may_serve(self, one: Execution, call: CallRecord) -> bool:
        """Whether the call may wait for the execution: it has begun later, or could be joined.

        It could not by a fresh call, nor when it had noticed that it was abandoned. If it was the
        owner that was cancelled, or the leader's task, then it has waiters still, and is joined.
        """
        if one.key != call.plan.key:
            return False
        struck = one.cancelled.time == self.history.leader_cancelled.time
        abandoned = one.cancelled.tick < min(call.made, self.gone()).tick and not struck
        return one.began.tick > call.made.tick or not (abandoned or call.plan.fresh)

    def waited_throughout(self, one: Execution, when: Instant) -> bool:
        """Whether somebody surely waited for the execution from before an instant to its end."""
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
