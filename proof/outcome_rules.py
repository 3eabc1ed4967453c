"""Rules about what each call is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

import anyio

from anyflight import (
    DeadlockError,
    FlightCancelledError,
    FlightTimeoutError,
    TooManyWaitersError,
)
from proof.evidence import Evidence, Testimony, source
from proof.history import (
    CANCELLED,
    FOREVER,
    PENDING,
    CallRecord,
    Execution,
    Result,
    WorkError,
)
from proof.policy_outcomes import of_a_policy

Findings: TypeAlias = Iterator[tuple[int | None, str]]


def every_call_has_an_outcome_that_it_may_have(seen: Evidence) -> Findings:
    """Check each call by itself."""
    for call in seen.calls:
        match call.outcome:
            case Result() if call.outcome.source is call:
                yield from _its_fallback(call)
            case Result() | WorkError():
                yield from _of_an_execution(call)
            case FlightCancelledError():
                yield from _cancelled_flight(seen, call)
            case anyio.ClosedResourceError():
                yield from refused_by_the_owner(seen, call)
            case FlightTimeoutError() | TooManyWaitersError() | DeadlockError():
                yield from of_a_policy(seen, call)
            case TimeoutError():
                yield from _timed_out(call)
            case _ if call.outcome is CANCELLED:
                yield from cancelled(call)
            case _ if call.outcome is PENDING:
                yield 16, f"{call} hangs"
            case _:
                yield None, f"{call} got {call.outcome!r}"


def _its_fallback(call: CallRecord) -> Findings:
    if call.plan.timeout is None or call.plan.fallback is None or call.gave_up is FOREVER:
        yield None, f"{call} got the value of a fallback that it has not"


def _of_an_execution(call: CallRecord) -> Findings:
    one = source(call)
    if not isinstance(one, Execution):
        yield None, f"{call} got the fallback of {one}"
        return
    if one.key != call.plan.key:
        yield 1, f"{call} got the outcome of another key, of {one}"
    if one.ending != ("error" if isinstance(call.outcome, WorkError) else "value"):
        yield 7, f"{call} got {call.outcome!r} of {one}, which ended with: {one.ending}"
    if call.made.tick > one.ended.tick:
        yield 6, f"{call} got the outcome of {one}, which had landed before the call was made"
    if one.ended.tick > call.ended.tick:
        yield 6, f"{call} got the outcome of {one} before that had ended"
    if call.plan.fresh and one.began.tick < call.made.tick:
        yield 5, f"{call} is fresh and got the outcome of {one}, which had begun before"
    if call.ended.time != one.ended.time:
        yield 6, f"{call} was woken later than {one} landed"
    if call.cancelled.tick < one.began.tick and call is one.starter and call.plan.way == "scope":
        yield 15, f"{call} was cancelled before it started a flight, and started one"


def _cancelled_flight(seen: Evidence, call: CallRecord) -> Findings:
    history = seen.history
    if call.outcome.key != call.plan.key:
        yield 9, f"{call} got an error of key {call.outcome.key!r}"
    # A leader's task may have been cancelled just before the function was called, or just after.
    stray = seen.gone().tick < call.ended.tick or history.leader_cancelled.time == call.ended.time
    if not stray and not any(
        call.made.tick < one.ended.tick < call.ended.tick
        and (one.ending == "foreign" or one.cancelled.time == history.leader_cancelled.time)
        for one in seen.executions
        if one.key == call.plan.key
    ):
        yield 9, f"{call} got FlightCancelledError without a reason"


def refused_by_the_owner(seen: Testimony[Any, Any], call: CallRecord) -> Findings:
    """Check that the owner was about to leave."""
    if min(seen.history.leaving, seen.gone()) > call.ended:
        yield 10, f"{call} was refused, and nobody was leaving"


def _timed_out(call: CallRecord) -> Findings:
    if type(call.outcome) is not TimeoutError or call.plan.timeout is None:
        yield None, f"{call} got {call.outcome!r}"
    elif call.plan.fallback is not None:
        yield None, f"{call} did not fall back"
    elif call.ended.time < call.made.time + call.plan.timeout:
        yield None, f"{call} timed out too early"


def cancelled(call: CallRecord) -> Findings:
    """Check that it was this call that was cancelled, or the work that made it."""
    parent = call.parent
    if call.cancelled.tick < call.ended.tick:
        return
    if parent is None or parent.cancelled.time != call.ended.time:
        yield 9, f"{call} got a cancellation that was meant for another"


def values_are_copied_as_asked(seen: Evidence) -> Findings:
    """Check that the starter gets the original, and the others one copy each, or the original."""
    given: Counter[int] = Counter()
    for call in seen.calls:
        one = source(call)
        if not isinstance(call.outcome, Result) or not isinstance(one, Execution):
            continue
        original = call.outcome is one.result
        if original is not (call is one.starter or not seen.program.copies):
            yield 8, f"{call} got {'the original' if original else 'a copy'} of {one}"
        given[id(call.outcome)] += 1
        if seen.program.copies and given[id(call.outcome)] > 1:
            yield 8, f"{call} got what another call had got"


def errors_are_isolated(seen: Testimony[Any, Any]) -> Findings:
    """Check that no two calls get one exception."""
    given: Counter[int] = Counter()
    for call in seen.calls:
        if isinstance(call.outcome, WorkError):
            given[id(call.outcome)] += 1
            if given[id(call.outcome)] > 1:
                yield 8, f"{call} got the very exception that another call had got"


def the_owner_gets_what_it_did(seen: Testimony[Any, Any]) -> Findings:
    """Check what came out of the block, and that nothing went on after it."""
    history = seen.history
    if history.owner is PENDING:
        yield 10, "the block was never left"
        return
    if isinstance(history.owner, BaseException):
        natively = history.leader_cancelled is not FOREVER and type(history.owner) is RuntimeError
        if not natively and type(history.owner).__name__ != "OwnerError":
            yield 10, f"out of the block came {history.owner!r}"
    elif history.owner is CANCELLED:
        if history.aborted is FOREVER:
            yield 9, "the owner got a cancellation that was meant for another"
    elif history.aborted is not FOREVER and seen.program.end.how == "fail":
        yield 10, "the error that the block was left with was swallowed"
    for one in seen.executions:
        if one.ended.tick > history.closed.tick:
            yield 10, f"{one} went on after the block was left"


def the_statistics_add_up(seen: Evidence) -> Findings:
    """Check the counters at the end against what happened."""
    now = seen.history.statistics
    if now is None:
        return
    if now.in_flight or now.waiting:
        yield 16, f"something stays behind: {now}"
    endings = Counter(one.ending for one in seen.executions)
    late = endings["value"] + endings["error"] - now.succeeded - now.failed
    if (
        now.succeeded > endings["value"]
        or now.failed > endings["error"]
        or not 0 <= late <= now.timed_out
    ):
        yield 16, f"{endings} were counted as {now}"
    refusals = anyio.ClosedResourceError | TooManyWaitersError
    refused = sum(isinstance(call.outcome, refusals) for call in seen.calls)
    joined = sum(
        isinstance(one := source(call), Execution) and call is not one.starter
        for call in seen.calls
    )
    if now.calls > len(seen.calls) or now.refused < refused or now.joined < joined:
        yield 16, f"{len(seen.calls)} calls, {joined} joined, {refused} refused, but: {now}"


RULES = (
    every_call_has_an_outcome_that_it_may_have,
    values_are_copied_as_asked,
    errors_are_isolated,
    the_owner_gets_what_it_did,
    the_statistics_add_up,
)
