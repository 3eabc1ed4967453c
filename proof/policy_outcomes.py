"""What a call is given because of a policy: each of these must have its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from anyflight import DeadlockError, FlightTimeoutError, TooManyWaitersError
from proof.evidence import Evidence
from proof.history import CallRecord, Execution

Findings: TypeAlias = Iterator[tuple[int | None, str]]


def of_a_policy(seen: Evidence, call: CallRecord) -> Findings:
    """Check what a call was given, if that is an error of anyflight's for a policy."""
    match call.outcome:
        case FlightTimeoutError():
            yield from _expired(seen, call)
        case TooManyWaitersError():
            yield from _refused(seen, call)
        case DeadlockError():
            yield from _deadlocked(seen, call)


def _expired(seen: Evidence, call: CallRecord) -> Findings:
    # The time of a flight must be over.
    timeout, when = seen.policies.flight_timeout, call.ended.time
    if timeout is None:
        yield 12, f"{call} got {call.outcome!r}, and flights have no deadline"
    elif seen.policies.tokens is None:
        if not any(
            one.began.time + timeout == when <= one.ended.time for one in _of_its_key(seen, call)
        ):
            yield 12, f"{call} was told of a deadline, and no execution had one then"
    elif not any(other.made.time + timeout <= when for other in seen.calls if _alike(other, call)):
        yield 12, f"{call} was told of a deadline before there could be one"


def _refused(seen: Evidence, call: CallRecord) -> Findings:
    # At once, and only where as many wait as may.
    most = seen.policies.max_waiters
    waiting = sum(
        _alike(other, call)
        and other.made.tick < call.made.tick < other.left.tick
        and not isinstance(other.outcome, TooManyWaitersError)
        for other in seen.calls
    )
    if most is None or waiting < most:
        yield 12, f"{call} was refused, and {waiting} waited"
    if call.ended.time != call.made.time:
        yield 12, f"{call} was refused, and not at once"


def _deadlocked(seen: Evidence, call: CallRecord) -> Findings:
    # Only tokens can be waited for in a circle: work calls greater keys than its own.
    if seen.policies.tokens is None or call.parent is None:
        yield 11, f"{call} got {call.outcome!r} where no circle can be"


def _of_its_key(seen: Evidence, call: CallRecord) -> Iterator[Execution]:
    return (one for one in seen.executions if one.key == call.plan.key)


def _alike(other: CallRecord, call: CallRecord) -> bool:
    return bool(other.plan.key == call.plan.key)
