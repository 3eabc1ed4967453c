"""What a history tells of batches."""

from __future__ import annotations

from dataclasses import dataclass

from proof.history import CallRecord, Result, Run, WorkError
from proof.loader_plans import OTHER, Batch


@dataclass(eq=False, slots=True, kw_only=True, repr=False)
class BatchRun(Run):
    """One execution of the batch function."""

    keys: tuple[str, ...]
    plan: Batch
    running: list[BatchRun]
    """The executions of this loader that were under way when it began."""

    def __repr__(self) -> str:
        return f"batch {self.number}"

    @property
    def of_other(self) -> bool:
        """Whether it is one of the other loader's."""
        return self.keys[0] in OTHER

    def answer(self, key: str) -> Result | WorkError | None:
        """Return what it answers for one of its keys; None if it leaves that out."""
        if key in self.plan.failing:
            return WorkError(self, key)
        return None if key in self.plan.without else Result(self, key=key)


def source(call: CallRecord, key: str) -> BatchRun | None:
    """Return the batch whose outcome for the key the call was surely given; None if unknown."""
    given = call.outcome.get(key) if isinstance(call.outcome, dict) else call.outcome
    if not isinstance(given, Result | WorkError) or not isinstance(given.source, BatchRun):
        return None
    if given.key is None:  # the error of a whole batch, with some of the keys
        keys = [each for each in dict.fromkeys(call.plan.keys) if each in given.source.keys]
        return given.source if keys == [key] else None
    return given.source if given.key == key else None
