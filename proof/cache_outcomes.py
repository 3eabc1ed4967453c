"""Rules about what each call of a cache is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

import anyio

from anyflight import FlightCancelledError, FlightTimeoutError, MissingKeyError
from proof.cache_evidence import CacheEvidence
from proof.cache_history import Fetch, KeptError, values
from proof.cache_plans import WRITES
from proof.cache_store import ShelfError
from proof.history import CANCELLED, PENDING, CallRecord, Result, WorkError
from proof.outcome_rules import cancelled, refused_by_the_owner

Findings: TypeAlias = Iterator[tuple[int | None, str]]


def every_call_has_an_outcome_that_it_may_have(seen: CacheEvidence) -> Findings:
    """Check each call by itself."""
    for call in seen.calls:
        match call.outcome:
            case dict() if call.plan.do == "get_many":
                yield from _of_many(seen, call)
            case Result() if call.plan.do in {"get", "peek"}:
                yield from _value(call, call.plan.keys[0], call.outcome)
            case None if call.plan.do in {"peek", *WRITES}:
                pass
            case Exception():
                yield from _raised(seen, call)
            case _ if call.outcome is CANCELLED:
                if not (isinstance(call.parent, Fetch) and seen.undoes(call.parent)):
                    yield from cancelled(call)
            case _ if call.outcome is PENDING:
                yield 16, f"{call} hangs"
            case _:
                yield None, f"{call} got {call.outcome!r}"


def _value(call: CallRecord, key: str, value: Result) -> Findings:
    origin: Any = value.source
    if value.key != key:
        yield 1, f"{call} got {value} for {key!r}"
    elif not isinstance(origin, Fetch):
        if origin.made.tick > call.ended.tick:
            yield 6, f"{call} got {value} before that was set"
        if call.plan.fresh:
            yield 5, f"{call} is fresh and got {value}, which was set"
    elif not origin.has(key):
        yield 7, f"{call} got {value}, which ended with: {origin.ending}"
    else:
        yield from _in_time(call, origin)


def _in_time(call: CallRecord, one: Fetch) -> Findings:
    if one.ended.tick > call.ended.tick:
        yield 6, f"{call} got the outcome of {one} before that had ended"
    if call.plan.fresh and one.began.tick < call.made.tick:
        yield 5, f"{call} is fresh and got the outcome of {one}, which had begun before"


def _of_many(seen: CacheEvidence, call: CallRecord) -> Findings:
    if list(call.outcome) != [key for key in call.plan.keys if key in call.outcome]:
        yield None, f"{call} got keys in another order than it asked for"
    for key in call.plan.keys:
        if key in call.outcome:
            yield from _value(call, key, call.outcome[key])
        elif not _may_miss(seen, call, key):
            yield 23, f"{call} got nothing for {key!r}, which was not left out"


def _may_miss(seen: CacheEvidence, call: CallRecord, key: str) -> bool:
    """Whether the call may have been told that there is no value for a key."""
    missing = seen.options.missing
    return any(
        key in one.left_out
        and one.ending == "value"
        and one.ended.tick < call.ended.tick
        and (
            call.made.tick < one.ended.tick
            or (
                missing is not None
                and not call.plan.fresh
                and call.made.time < one.ended.time + missing
            )
        )
        for one in seen.fetches(key)
    )


def _raised(seen: CacheEvidence, call: CallRecord) -> Findings:  # noqa: C901 - one case each
    match call.outcome:
        case WorkError():
            yield from _error(seen, call)
        case FlightCancelledError():
            yield from _cancelled_flight(seen, call)
        case FlightTimeoutError():
            if not seen.a_deadline_came(call):
                yield 12, f"{call} was told of a deadline before there could be one"
        case MissingKeyError() if call.plan.do == "get":
            if not _may_miss(seen, call, call.plan.keys[0]):
                yield 23, f"{call} got {call.outcome!r} of a key that was not left out"
        case anyio.ClosedResourceError():
            if not seen.strayed():
                yield from refused_by_the_owner(seen, call)
        case ShelfError() if call.plan.do in WRITES and seen.options.store is not None:
            if call.outcome.args[0] not in seen.options.store.failing:
                yield None, f"{call} was told of an error that the store had not"
        case _:
            yield None, f"{call} got {call.outcome!r}"


def _error(seen: CacheEvidence, call: CallRecord) -> Findings:
    one: Any = call.outcome.source
    if call.plan.do not in {"get", "get_many"} or not set(one.keys) & set(call.plan.keys):
        yield 1, f"{call} got an error of {one}"
        return
    kind = "kept" if isinstance(call.outcome, KeptError) else "error"
    if one.ending != kind:
        yield 7, f"{call} got {call.outcome!r} of {one}, which ended with: {one.ending}"
    yield from _in_time(call, one)
    kept = seen.options.kept
    if one.ended.tick < call.made.tick and not _joined_while_it_landed(call, one):
        if one.ending != "kept" or kept is None:
            yield 23, f"{call} got the error of {one}, which is not to be kept"
        elif call.made.time >= one.ended.time + kept:
            yield 23, f"{call} got the error of {one} when that was too old"


def _joined_while_it_landed(call: CallRecord, one: Fetch) -> bool:
    """Whether the flight of the execution, which has ended, may not have landed yet.

    The task that ran it may take some steps more, in no time: a loader's error comes to the flight
    that waits for it in such a step.
    """
    return call.made.time == one.ended.time and call.ended.time == one.ended.time


def _cancelled_flight(seen: CacheEvidence, call: CallRecord) -> Findings:
    history = seen.history
    if call.plan.do == "get" and call.outcome.key != call.plan.keys[0]:
        yield 9, f"{call} got an error of key {call.outcome.key!r}"
    stray = seen.gone().tick < call.ended.tick or history.leader_cancelled.time == call.ended.time
    if not stray and not any(
        one.ending == "foreign" or one.cancelled.time == history.leader_cancelled.time
        for one in seen.attempts_that_failed(call)
    ):
        yield 9, f"{call} got FlightCancelledError without a reason"


def values_are_copied_as_asked(seen: CacheEvidence) -> Findings:
    """Check that everybody gets a copy of its own, or the original."""
    given: Counter[int] = Counter()
    for call in seen.calls:
        for value in values(call).values():
            if not seen.options.copies:
                if value.copy_of is not None:
                    yield 8, f"{call} got a copy"
                continue
            given[id(value)] += 1
            if value.copy_of is None:
                yield 8, f"{call} got {value}, which stays in the cache"
            elif given[id(value)] > 1:
                yield 8, f"{call} got what another call had got"


def calls_are_woken_when_their_value_is_there(seen: CacheEvidence) -> Findings:
    """Check that a call ends when its value is in memory.

    Where there is a store, or more keys than one, that is not known.
    """
    for call in seen.gets:
        if call.plan.do != "get" or seen.options.store is not None:
            continue
        value = values(call).get(call.plan.keys[0])
        one: Any = call.outcome.source if isinstance(call.outcome, WorkError) else None
        one = value.source if value is not None else one
        due = call.made.time
        if isinstance(one, Fetch):
            due = max(due, one.ended.time)
        failed = any(seen.attempts_that_failed(call)) or seen.a_deadline_came(call)
        if one is not None and call.ended.time > due and not (failed and value is not None):
            yield 6, f"{call} was woken later than {one} landed"


def the_statistics_add_up(seen: CacheEvidence) -> Findings:
    """Check the counters against what happened."""
    now = seen.history.statistics
    if now is None:
        return
    if now.coalescing.in_flight or now.coalescing.waiting or now.entries:
        yield 16, f"something stays behind: {now}"
    asked = sum(len(call.plan.keys) for call in seen.gets)
    surely = sum(
        not isinstance(call.outcome, anyio.ClosedResourceError)
        for call in seen.gets
        if call.plan.do == "get"
        # What was cancelled while it was being refused.
        and not (call.outcome is CANCELLED and seen.history.leaving.tick < call.ended.tick)
    )
    if not surely <= now.hits + now.stale + now.kept_errors + now.misses <= asked:
        yield 16, f"{surely} to {asked} keys were asked for, but: {now}"
    background = sum(seen.is_of_background(one) for one in seen.executions)
    if now.refreshes < background or now.refresh_failures > now.refreshes:
        yield 16, f"{background} executions in the background, but: {now}"
    if seen.options.store is None and (now.store_hits or now.store_errors):
        yield 16, f"there is no store, but: {now}"
    if now.evicted and seen.options.max_entries >= len(seen.program.all_keys()):
        yield 24, f"nothing had to leave, but: {now}"


RULES = (
    every_call_has_an_outcome_that_it_may_have,
    values_are_copied_as_asked,
    calls_are_woken_when_their_value_is_there,
    the_statistics_add_up,
)
