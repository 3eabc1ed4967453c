"""Rules about when functions are called, and when calls end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from anyflight import FlightCancelledError
from proof.evidence import Evidence, source
from proof.history import FOREVER, CallRecord, Execution

Findings: TypeAlias = Iterator[tuple[int | None, str]]


def executions_overlap_only_where_it_was_asked_for(seen: Evidence) -> Findings:
    """Check that forget(), a deadline or age lie between executions of a key that run at once."""
    for one in seen.executions:
        for other in one.running:
            if not (
                seen.forgotten(one, one.began)
                or seen.forgotten(other, one.began)
                or seen.may_have_expired(other, one.began)
                or seen.may_be_overtaken(other, one.began)
            ):
                yield 4, f"{one} began while {other} ran"


def calls_share_the_running_execution(seen: Evidence) -> Findings:
    """Check that a call joins an execution that runs, and surely has waiters or needs none."""
    # With deadlines, work that nobody waits for may be work that has expired.
    keep = seen.program.on_abandon == "finish" and seen.policies.flight_timeout is None
    for one in seen.executions:
        for call in _settled(seen.calls_of(one)):
            if (
                not call.plan.fresh
                and one.began.tick < call.made.tick < min(one.ended, one.cancelled).tick
                and (keep or seen.waited_throughout(one, call.made))
                and not seen.forgotten(one, call.made)
                and not seen.too_old(one, call.made)
                and not seen.brings_another(one)
                and source(call) is not one
            ):
                yield 1, f"{call} did not join {one}, which ran"


def fresh_calls_share_the_queued_execution(seen: Evidence) -> Findings:
    """Check that a fresh call joins a flight that has waiters and has not begun."""
    for one in seen.executions:
        for call in _settled(seen.calls_of(one)):
            if (
                call.plan.fresh
                and seen.added(one).tick < call.made.tick < one.began.tick
                and seen.waited_throughout(one, call.made)
                and not seen.forgotten(one, call.made)
                and not seen.brings_another(one)
                and source(call) is not one
            ):
                yield 5, f"{call} did not join {one}, which had not begun"


def _settled(calls: list[CallRecord]) -> list[CallRecord]:
    """Return those of which it is known what they waited for."""
    return [call for call in calls if isinstance(source(call), Execution)]


def nothing_begins_that_nobody_waits_for(seen: Evidence) -> Findings:
    """Check that the function of an abandoned flight is not called, and each starter has one."""
    starters = Counter(one.starter for one in seen.executions)
    for one in seen.executions:
        if not seen.may_wait_for(one, one.began):
            yield 3, f"{one} began, and nobody waited for it"
        if starters[one.starter] > 1:
            yield 1, f"{one.starter} started {starters[one.starter]} executions"
        if one.starter.plan.doomed and one.starter.plan.way == "scope":
            yield 15, f"{one.starter} was cancelled when it was made, and started {one}"
        context = one.starter if seen.program.context == "caller" else None
        if one.context is not context:
            yield 14, f"{one} ran in the context of {one.context}, not of {context or 'the owner'}"


def executions_take_off_at_once_or_after_another(seen: Evidence) -> Findings:
    """Check that a flight waits for nothing but the running one of its key, and for its token."""
    if seen.policies.tokens is not None and seen.policies.flight_timeout is not None:
        return  # nobody sees when a flight takes off that waits for its token, nor its deadline
    for one in seen.executions:
        when = one.began.time
        gates = seen.gates(one)
        if one.starter.made.time != when and not any(
            gate.time == when and gate.tick < one.began.tick for gate in gates
        ):
            yield 4, f"{one} began late, and nothing had kept it waiting"


def work_goes_on_only_for_those_who_wait(seen: Evidence) -> Findings:
    """Check that abandoned work is cancelled at once."""
    if seen.program.on_abandon == "finish":
        return
    for one in seen.executions:
        last = max(
            (
                call.left.time
                for call in seen.calls_of(one)
                if call.made.tick < one.ended.tick and seen.may_have_waited(call, one)
            ),
            default=one.began.time,
        )
        if min(one.cancelled, one.ended).time > last:
            yield 3, f"{one} went on when everybody had left"


def work_that_is_waited_for_is_not_cancelled(seen: Evidence) -> Findings:
    """Check that it is cancelled only by its last waiter's leaving, or with the owner."""
    struck = seen.history.leader_cancelled
    for one in seen.executions:
        if one.doomed and seen.gone().tick > one.began.tick:
            yield 9, f"{one} began in a task that was being cancelled"
        if one.cancelled is FOREVER or seen.gone().tick < one.cancelled.tick:
            continue
        if struck.tick < one.cancelled.tick and struck.time == one.cancelled.time:
            continue
        keep = seen.program.on_abandon == "finish"
        if keep and not seen.may_have_expired(one, one.cancelled):
            yield 3, f"{one} was cancelled, and was to finish"
        if seen.waited_throughout(one, one.cancelled):
            yield 2, f"{one} was cancelled while it was waited for"


def the_owner_takes_its_leaders_along(seen: Evidence) -> Findings:
    """Check that an aborted owner cancels what runs, at once, and nothing begins any more."""
    aborted, closed = seen.history.aborted, seen.history.closed
    for one in seen.executions:
        if one.began.time > aborted.time:
            yield 10, f"{one} began when the owner was gone"
        if min(one.cancelled, one.ended).time > aborted.time:
            yield 10, f"{one} went on when the owner was gone"
    for call in seen.calls:
        taken = isinstance(source(call), Execution) or isinstance(
            call.outcome, FlightCancelledError
        )
        if call.made.tick > closed.tick and taken:
            yield 10, f"{call} was made when the block had been left, and got {call.outcome!r}"


def the_owner_gives_up_what_has_not_begun(seen: Evidence) -> Findings:
    """Check that a call ends with the owner, at once, unless something that runs may serve it."""
    gone = seen.history.aborted.time
    if isinstance(seen.history.owner, RuntimeError):
        return  # a leader never ran: those who wait for its flight are told when all others ended
    for call in seen.calls:
        if call.made.time <= gone < call.left.time and not any(
            seen.may_serve(one, call) and one.ended.time > gone for one in seen.executions
        ):
            yield 10, f"{call} went on waiting for nothing that had begun when the owner was gone"


def calls_end_when_they_are_told_to(seen: Evidence) -> Findings:
    """Check that a cancelled call waits no longer, and neither does one whose time is over."""
    for call in seen.calls:
        if call.cancelled.time < call.ended.time:
            yield 15, f"{call} went on waiting though it was cancelled"
        if call.plan.timeout is None:
            continue
        deadline = call.made.time + call.plan.timeout
        if call.left.time > deadline:
            yield None, f"{call} waited longer than its timeout"
        if call.gave_up.time not in {deadline, FOREVER.time}:
            yield None, f"{call} fell back too early"


RULES = (
    executions_overlap_only_where_it_was_asked_for,
    calls_share_the_running_execution,
    fresh_calls_share_the_queued_execution,
    nothing_begins_that_nobody_waits_for,
    executions_take_off_at_once_or_after_another,
    work_goes_on_only_for_those_who_wait,
    work_that_is_waited_for_is_not_cancelled,
    the_owner_takes_its_leaders_along,
    the_owner_gives_up_what_has_not_begun,
    calls_end_when_they_are_told_to,
)
