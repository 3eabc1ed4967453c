"""Rules about what each call of a batch loader is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

import anyio

from anyflight import (
    CoalescerError,
    DeadlockError,
    FlightCancelledError,
    FlightTimeoutError,
    MissingKeyError,
)
from proof.history import CANCELLED, PENDING, CallRecord, Result, WorkError
from proof.loader_evidence import LoaderEvidence
from proof.loader_history import BatchRun, source
from proof.loader_plans import OTHER
from proof.outcome_rules import cancelled, refused_by_the_owner

Findings: TypeAlias = Iterator[tuple[int | None, str]]


def every_call_has_an_outcome_that_it_may_have(seen: LoaderEvidence) -> Findings:
    """Check each call by itself."""
    for call in seen.calls:
        match call.outcome:
            case dict() if call.plan.many:
                yield from _of_many(seen, call)
            case Result() if not call.plan.many:
                yield from _value(call, call.plan.keys[0], call.outcome)
            case Exception():
                yield from _raised(seen, call)
            case _ if call.outcome is CANCELLED:
                yield from cancelled(call)
            case _ if call.outcome is PENDING:
                yield 16, f"{call} hangs"
            case _:
                yield None, f"{call} got {call.outcome!r}"


def _raised(seen: LoaderEvidence, call: CallRecord) -> Findings:
    match call.outcome:
        case WorkError():
            yield from _error(seen, call)
        case CoalescerError():
            if call.outcome.key not in call.plan.keys:
                yield 9, f"{call} got an error of key {call.outcome.key!r}"
            yield from _of_anyflight(seen, call)
        case anyio.ClosedResourceError():
            yield from refused_by_the_owner(seen, call)
        case TypeError() if any(one.ending == "nothing" for one in _that_ended(seen, call)):
            pass  # they got no mapping
        case _:
            yield None, f"{call} got {call.outcome!r}"


def _of_anyflight(seen: LoaderEvidence, call: CallRecord) -> Findings:
    match call.outcome:
        case MissingKeyError():
            if call.plan.many or not _left_out(seen, call, call.plan.keys[0]):
                yield None, f"{call} got {call.outcome!r} of a key that was not left out"
        case FlightCancelledError():
            yield from _cancelled_flight(seen, call)
        case FlightTimeoutError():
            yield from _expired(seen, call)
        case DeadlockError():
            yield from _deadlocked(seen, call)
        case _:
            yield None, f"{call} got {call.outcome!r}"


def _value(call: CallRecord, key: str, value: Result) -> Findings:
    one = value.source
    if not isinstance(one, BatchRun) or value.key != key or not isinstance(one.answer(key), Result):
        yield 1, f"{call} got {value} for {key!r}"
    elif one.ending != "value":
        yield 7, f"{call} got {value}, which ended with: {one.ending}"
    else:
        yield from _in_time(call, key, one)


def _in_time(call: CallRecord, key: str, one: BatchRun) -> Findings:
    if key not in one.keys:
        yield 1, f"{call} got the outcome of {one}, which had not loaded {key!r}"
    if call.made.tick > one.ended.tick:
        yield 6, f"{call} got the outcome of {one}, which had landed before the call was made"
    if one.ended.tick > call.ended.tick:
        yield 6, f"{call} got the outcome of {one} before that had ended"
    if call.plan.fresh and one.began.tick < call.made.tick:
        yield 5, f"{call} is fresh and got the outcome of {one}, which had begun before"
    if call.ended.time != one.ended.time and len(set(call.plan.keys)) == 1:
        yield 6, f"{call} was woken later than {one} landed"


def _that_ended(seen: LoaderEvidence, call: CallRecord) -> list[BatchRun]:
    """Return the batches with a key of the call that have ended while it waited."""
    return [
        one
        for one in seen.executions
        if set(one.keys) & set(call.plan.keys)
        and call.made.tick < one.ended.tick < call.ended.tick
        and not (call.plan.fresh and one.began.tick < call.made.tick)
    ]


def _left_out(seen: LoaderEvidence, call: CallRecord, key: str) -> list[BatchRun]:
    """Return the batches that had nothing for a key of the call, while it waited."""
    return [
        one
        for one in _that_ended(seen, call)
        if key in one.keys and one.ending == "value" and one.answer(key) is None
    ]


def _of_many(seen: LoaderEvidence, call: CallRecord) -> Findings:
    asked = list(dict.fromkeys(call.plan.keys))
    if list(call.outcome) != [key for key in asked if key in call.outcome]:
        yield None, f"{call} got keys in another order than it asked for"
    ends = [{call.made.time}] if not asked else []
    for key in asked:
        if key in call.outcome:
            yield from _value(call, key, call.outcome[key])
            ends.append({call.outcome[key].source.ended.time})
        elif left_out := _left_out(seen, call, key):
            ends.append({one.ended.time for one in left_out})
        else:
            yield None, f"{call} got nothing for {key!r}, which was not left out"
    if call.ended.time not in set().union(*ends):
        yield 6, f"{call} was woken later than its keys landed"


def _error(seen: LoaderEvidence, call: CallRecord) -> Findings:
    one, key = call.outcome.source, call.outcome.key
    keys = [each for each in call.plan.keys if each in one.keys and key in {each, None}]
    if not keys:
        yield 1, f"{call} got an error of {one}, for {key!r}"
        return
    if one.ending != ("error" if key is None else "value"):
        yield 7, f"{call} got {call.outcome!r} of {one}, which ended with: {one.ending}"
    yield from _in_time(call, keys[0], one)
    # The first in the order of the keys: so all keys before it have to be waited for.
    before = call.plan.keys[: call.plan.keys.index(keys[-1]) + 1]
    if call.ended.time not in {
        each.ended.time for each in _that_ended(seen, call) if set(before) & set(each.keys)
    }:
        yield 6, f"{call} was woken later than {one} landed, and all keys before"


def _cancelled_flight(seen: LoaderEvidence, call: CallRecord) -> Findings:
    history = seen.history
    # A leader's task may have been cancelled just before the function was called, or just after;
    # and of many keys those before this one may have landed later.
    struck = history.leader_cancelled.time
    stray = struck == call.ended.time or (call.plan.many and struck <= call.ended.time)
    if (
        not stray
        and seen.gone().tick > call.ended.tick
        and not any(
            one.ending == "foreign" or one.cancelled.time == history.leader_cancelled.time
            for one in _that_ended(seen, call)
            if call.outcome.key in one.keys
        )
    ):
        yield 9, f"{call} got FlightCancelledError without a reason"


def _expired(seen: LoaderEvidence, call: CallRecord) -> Findings:
    timeout, when, key = seen.bounds.flight_timeout, call.ended.time, call.outcome.key
    if timeout is None:
        yield 12, f"{call} got {call.outcome!r}, and batches have no deadline"
    elif seen.bounds.tokens is not None:
        # Of a batch that was opened by any call.
        if not any(other.made.time + timeout <= when for other in seen.calls):
            yield 12, f"{call} was told of a deadline before there could be one"
    elif not any(
        one.began.time + timeout <= min(when, one.ended.time)
        for one in seen.batches_with(key)
        if call.made.time <= seen.landed(one)
    ):
        yield 12, f"{call} was told of a deadline, and no batch had one then"


def _deadlocked(seen: LoaderEvidence, call: CallRecord) -> Findings:
    parent, chain = call.parent, call.outcome.chain
    if not isinstance(parent, BatchRun):
        yield 11, f"{call} got {call.outcome!r}, and no work had made it"
    elif chain[0] not in parent.keys or chain[0] != chain[-1]:
        yield 11, f"{call} of {parent} was told of a circle that is none of its own: {chain}"
    elif call.ended.time != call.made.time:
        yield 11, f"{call} would close a circle, and was not told at once"
    elif parent not in _reach(seen, call):
        yield 11, f"{call} of {parent} was told of a circle, and there is none: {chain}"


def _reach(seen: LoaderEvidence, call: CallRecord) -> set[BatchRun]:
    """Return the batches for which the call, directly or not, may have had to wait in the end."""
    when = call.ended.tick
    running = {one for one in seen.executions if one.began.tick < when < one.ended.tick}
    waiting = [each for each in seen.calls if each.made.tick < when <= each.left.tick]
    reached: set[BatchRun] = set()
    keys = set(call.plan.keys)
    while True:
        found = {one for one in running if keys & set(one.keys)}
        for other in {key in OTHER for key in keys}:
            alike = {one for one in running if one.of_other is other}
            if len(alike) >= seen.bounds.max_concurrent_batches:
                found |= alike
        if seen.bounds.tokens is not None and keys and len(running) >= seen.bounds.tokens:
            found |= running
        if found <= reached:
            return reached
        reached |= found
        keys |= {key for each in waiting if each.parent in reached for key in each.plan.keys}


def values_are_copied_as_asked(seen: LoaderEvidence) -> Findings:
    """Check that one waiter of a key at most, the first, gets the original, and others a copy."""
    given: Counter[int] = Counter()
    for one in seen.executions:
        for key in one.keys:
            served = [call for call in seen.asking(key) if source(call, key) is one]
            for call in served:
                value = call.outcome.get(key) if isinstance(call.outcome, dict) else call.outcome
                if not isinstance(value, Result):
                    continue
                if not seen.program.copies:
                    if value.copy_of is not None:
                        yield 8, f"{call} got a copy of {one}"
                    continue
                given[id(value)] += 1
                if given[id(value)] > 1:
                    yield 8, f"{call} got what another call had got"
                if value.copy_of is None and any(e.made.tick < call.made.tick for e in served):
                    yield 8, f"{call} got the original of {one}, and had joined"


def the_statistics_add_up(seen: LoaderEvidence) -> Findings:
    """Check the counters of the first loader against what happened."""
    now = seen.history.statistics
    if now is None:
        return
    if now.in_flight or now.waiting:
        yield 16, f"something stays behind: {now}"
    batches = [one for one in seen.executions if not one.of_other]
    if (now.batches, now.loaded) != (len(batches), sum(len(one.keys) for one in batches)):
        yield 16, f"{len(batches)} batches were counted as {now}"
    values = errors = 0
    for one in batches:
        found = one.ending == "value" and sum(isinstance(one.answer(k), Result) for k in one.keys)
        values += found
        errors += one.ending in {"value", "error", "nothing"} and len(one.keys) - found
    late = values + errors - now.succeeded - now.failed
    if now.succeeded > values or now.failed > errors or not 0 <= late <= now.timed_out:
        yield 16, f"{values} values and {errors} errors were counted as {now}"
    asked = sum(
        len(set(call.plan.keys)) or 1 for call in seen.calls if not {*OTHER} & {*call.plan.keys}
    )
    if now.calls > asked:
        yield 16, f"{asked} keys were asked for, but: {now}"


RULES = (
    every_call_has_an_outcome_that_it_may_have,
    values_are_copied_as_asked,
    the_statistics_add_up,
)
