"""What the functions of calls do, and how their values cross processes."""

from __future__ import annotations

import re
from typing import Any

import trio

from anyflight.lease import JSONCodec, Outcome, OutcomeKind, RemoteFlightError, fencing_number
from proof.history import Mark
from proof.lease.client import taking_part
from proof.lease.history import Executed, LeaseHistory
from proof.lease.plans import Work

LARGEST = 100
"""How many bytes of a value are shared."""


class WorkError(Exception):
    """What work raises that fails."""


class WorkCodec:
    """JSON, but for values that it refuses, here or in the other process."""

    def __init__(self) -> None:
        self._json = JSONCodec()

    def encode(self, value: Any) -> bytes:
        """See :class:`Codec`."""
        return self._json.encode(value)

    def decode(self, data: bytes) -> Any:
        """See :class:`Codec`."""
        value = self._json.decode(data)
        if value["ending"] == "undecodable":
            raise ValueError("nobody can read this")
        return value


async def perform(plan: Work, history: LeaseHistory) -> Any:
    """Be the function of a call."""
    part = taking_part.get()
    assert part is not None
    number = len(history.executions)
    one = Executed(
        number,
        part,
        plan,
        epoch=fencing_number() or 0,
        began=history.note("execution", number, "of", part, plan),
    )
    history.executions.append(one)
    try:
        await trio.sleep(plan.lasts)
        one.ending = plan.ending
    except trio.Cancelled:
        one.cancelled = history.note(one, "is told to stop")
        with trio.CancelScope(shield=True):
            await trio.sleep(plan.cleanup)
        if not plan.stubborn:
            raise
        one.ending = plan.ending
    finally:
        one.ended = history.note(one, "ends with:", one.ending)
    if one.ending == "error":
        raise WorkError(f"of {number}")
    return result_of(one)


def result_of(one: Executed) -> Any:
    """Return the value of an execution; each has its own."""
    more: object = None
    if one.ending == "unencodable":
        more = Mark("what JSON does not know")
    elif one.ending == "large":
        more = "x" * LARGEST
    return {"of": one.number, "ending": one.ending, "more": more}


def source(outcome: object) -> int | None:
    """Return the number of the execution from which a call has its outcome, if from any."""
    if isinstance(outcome, dict):
        number: int = outcome["of"]
        return number
    if isinstance(outcome, WorkError | RemoteFlightError):
        found = re.search(r"of (\d+)$", str(outcome))
        assert found is not None
        return int(found[1])
    return None


def stored_source(outcome: Outcome) -> int | None:
    """Return the number of the execution of which this was stored; None if nothing says so."""
    if outcome.kind is OutcomeKind.UNSHARED:
        return None
    found = re.search(rb'"of":(\d+)|of (\d+)"', outcome.body)
    assert found is not None
    return int(found[1] or found[2])
