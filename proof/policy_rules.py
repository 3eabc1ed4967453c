"""Rules about what policies promise: no second attempt too many, no bound exceeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from proof.evidence import Evidence, source
from proof.history import CallRecord, Execution

Findings: TypeAlias = Iterator[tuple[int | None, str]]


def the_starter_gets_its_own_outcome(seen: Evidence) -> Findings:
    """Check that no call that started a flight flies once more."""
    for one in seen.executions:
        given = source(one.starter)
        if isinstance(given, Execution) and given is not one:
            yield 7, f"{one.starter} started {one} and got the outcome of {given}"


def who_joined_what_failed_gets_a_second_outcome(seen: Evidence) -> Findings:
    """Check that the first error is not given to those who may fly once more."""
    if seen.policies.max_waiters is not None:
        return  # it is given to those who find no room for their second attempt
    ended = min(seen.history.leaving, seen.gone()).time
    for one in _failed(seen):
        for call in _joined(seen, one):
            if source(call) is one and one.ended.time < ended:
                yield 7, f"{call} joined {one} and got its error"


def a_failing_key_costs_two_executions(seen: Evidence) -> Findings:
    """Check that those who had joined an execution that failed fly once more together."""
    for one in _failed(seen):
        if any(each.key == one.key for each in seen.history.forgets):
            continue  # the second may be forgotten before all have woken
        joined = _joined(seen, one)
        second: Execution | None = None
        for other in seen.executions:
            if other.starter not in joined or other.starter.plan.fresh:
                continue
            # All wake at the time of the landing: one that ends within that time may be missed.
            if second is not None and min(second.ended, second.cancelled).time > one.ended.time:
                yield 7, f"{one} failed, and brought {second} and {other}"
            second = other


def _failed(seen: Evidence) -> Iterator[Execution]:
    """Yield the executions after whose error calls fly once more."""
    return (
        one
        for one in seen.executions
        if "error" in seen.policies.retry_on
        and one.ending == "error"
        and not seen.may_have_expired(one, one.ended)
    )


def _joined(seen: Evidence, one: Execution) -> list[CallRecord]:
    """Return the calls that surely have joined the execution, in their first attempts."""
    return [
        call
        for call in seen.calls_of(one)
        if one.began.tick < call.made.tick < min(one.ended, one.cancelled).tick
        and not call.plan.fresh
        and not seen.forgotten(one, call.made)
        and not seen.too_old(one, call.made)
        and (seen.program.on_abandon == "finish" or seen.waited_throughout(one, call.made))
    ]


def no_flight_outlasts_its_deadline(seen: Evidence) -> Findings:
    """Check that nobody waits for more than a flight, and one before it, for each attempt."""
    timeout = seen.policies.flight_timeout
    if timeout is None:
        return
    gone = seen.gone().time  # and with it who keeps the deadlines: from then on there are none
    for call in seen.calls:
        one = source(call)
        if isinstance(one, Execution) and one.ended.time > one.began.time + timeout < gone:
            yield 12, f"{call} got the outcome of {one}, whose time was over"
        most = call.made.time + 2 * timeout * (2 if seen.policies.retry_on else 1)
        if call.left.time > most < gone:
            yield 12, f"{call} waited longer than any flights may take"


def nothing_too_old_is_joined(seen: Evidence) -> Findings:
    """Check that no call was given the outcome of an execution that was too old for it."""
    for call in seen.calls:
        one = source(call)
        if isinstance(one, Execution) and seen.too_old(one, call.made):
            yield 13, f"{call} joined {one}, which was too old"


def no_more_are_served_than_may_wait(seen: Evidence) -> Findings:
    """Check that not too many calls waited for one flight when it landed."""
    most = seen.policies.max_waiters
    for one, count in Counter(map(source, seen.calls)).items():
        if most is not None and isinstance(one, Execution) and count > most:
            yield 12, f"{count} calls got the outcome of {one}"


RULES = (
    the_starter_gets_its_own_outcome,
    who_joined_what_failed_gets_a_second_outcome,
    a_failing_key_costs_two_executions,
    no_flight_outlasts_its_deadline,
    nothing_too_old_is_joined,
    no_more_are_served_than_may_wait,
)
