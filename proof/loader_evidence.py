"""What can be concluded from the history of a batch loader without knowing how it works."""

from __future__ import annotations

from collections.abc import Iterator

from proof.evidence import Testimony
from proof.history import FOREVER, CallRecord, History, Instant
from proof.loader_history import BatchRun, source
from proof.loader_plans import OTHER, LoaderProgram


class LoaderEvidence(Testimony[LoaderProgram, BatchRun]):
    """A program of a loader, its history, and questions about them."""

    def __init__(self, program: LoaderProgram, history: History[BatchRun]) -> None:
        super().__init__(program, history)
        self.bounds = program.bounds

    def asking(self, key: str) -> list[CallRecord]:
        """Return the calls for a key."""
        return [call for call in self.calls if key in call.plan.keys]

    def batches_with(self, key: str) -> list[BatchRun]:
        """Return the batches with a key."""
        return [one for one in self.executions if key in one.keys]

    def alike(self, one: BatchRun) -> list[BatchRun]:
        """Return the batches of the same loader."""
        return [each for each in self.executions if each.of_other is one.of_other]

    def calls_alike(self, one: BatchRun) -> list[CallRecord]:
        """Return the calls to the same loader."""
        return [
            call
            for call in self.calls
            if call.plan.keys and (call.plan.keys[0] in OTHER) is one.of_other
        ]

    def waiters(self, one: BatchRun, key: str) -> Iterator[CallRecord]:
        """Yield the calls that may have waited for a key of the batch."""
        return (call for call in self.asking(key) if source(call, key) in {one, None})

    def served(self, one: BatchRun) -> Iterator[tuple[CallRecord, str]]:
        """Yield the calls that surely were given what the batch had for one of its keys."""
        return (
            (call, key) for key in one.keys for call in self.asking(key) if source(call, key) is one
        )

    def waited_throughout(self, one: BatchRun, when: Instant) -> bool:
        """Whether somebody surely waited for the batch from before an instant to its end."""
        return any(call.made.tick < when.tick for call, _ in self.served(one))

    def forgotten(self, one: BatchRun, key: str, before: Instant) -> bool:
        """Whether the flight of a key may have been detached before an instant, while it ran."""
        return any(
            each.answer and each.key == key and one.began.tick < each.when.tick < before.tick
            for each in self.history.forgets
        )

    def may_have_expired(self, one: BatchRun, when: Instant) -> bool:
        """Whether the deadline of the batch may have come by then.

        It counts from the take-off, before which the batch may only have waited for a token.
        """
        timeout = self.bounds.flight_timeout
        if timeout is None:
            return False
        took_off = one.began.time
        if self.bounds.tokens is not None:
            made = (call.made.time for key in one.keys for call in self.waiters(one, key))
            took_off = min(made, default=took_off)
        return took_off + timeout <= when.time

    def landed(self, one: BatchRun) -> float:
        """Return the time at which the batch landed; without tokens that is certain."""
        timeout = self.bounds.flight_timeout
        if timeout is None:
            return one.ended.time
        return min(one.ended.time, one.began.time + timeout)

    def may_serve(self, one: BatchRun, call: CallRecord) -> bool:
        """Whether the call may wait for the batch: it has begun later, or could be joined.

        It could not by a fresh call, nor when it had noticed that it was abandoned.
        """
        if not set(one.keys) & set(call.plan.keys):
            return False
        struck = self.struck(one) and one.cancelled is not FOREVER
        abandoned = one.cancelled.tick < min(call.made, self.gone()).tick and not struck
        return one.began.tick > call.made.tick or not (abandoned or call.plan.fresh)
