"""Rules about what a cache keeps: for how long, for whom, and when it asks again.

The laws of docs/how-it-works.md are those of flights. For what is kept there are six more here,
after the two of batch_rules.py:

19. A value is served for `ttl` after it was filled, and for `stale_while_revalidate` after that;
    then in place of an error, until `stale_if_error` is over; and no longer.
20. Nothing that began before a write is given to a call made after it; nor, of values that
    overlapped, one that began earlier once the later one is there.
21. What memory may serve is served at once, and no work is done for it but in the background.
22. For a key there is one flight in the background at most; only for a value that may be served
    and is old, or due early; none for a while after one that failed; and nobody cancels it.
23. Errors are kept as long as they are told to be, and no others are.
24. There are at most `max_entries` entries, and none leaves for another before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from proof.cache_evidence import CacheEvidence, before_a_write
from proof.cache_history import Fetch, Origin, began, filled, origins, values
from proof.history import CallRecord, Result, WorkError

Findings: TypeAlias = Iterator[tuple[int | None, str]]


def no_value_is_too_old(seen: CacheEvidence) -> Findings:
    """Check the age of what each call was given from memory, or from the store."""
    for call in seen.calls:
        for key, value in values(call).items():
            origin: Any = value.source
            if filled(origin).tick > call.made.tick:
                continue  # it waited for that
            # Of many values some are taken when the call is made, long before it ends.
            served = call.made.time if call.plan.do == "get_many" else call.ended.time
            age = served - seen.kept_since(origin)
            if age < seen.window() + seen.shelving:
                continue
            if age >= seen.window(of_errors=True) + seen.shelving:
                yield 19, f"{call} got {value} for {key!r}, {age} s old"
            elif not _failed(seen, call):
                yield 19, f"{call} got {value} in place of an error, {age} s old; there was none"


def _failed(seen: CacheEvidence, call: CallRecord) -> bool:
    """Whether the call may have got an error if there had been no value in its place."""
    kept = seen.options.kept
    return (
        any(seen.attempts_that_failed(call))
        or seen.a_deadline_came(call)
        or seen.strayed()
        or (
            kept is not None
            and any(
                one.ending == "kept"
                and one.ended.tick < call.made.tick < call.ended.tick
                and call.made.time < one.ended.time + kept
                for one in seen.executions
                if set(one.keys) & set(call.plan.keys)
            )
        )
    )


def nothing_is_given_from_before_a_write(seen: CacheEvidence) -> Findings:
    """Check that what each call was given began after every write made before the call."""
    for call in seen.calls:
        for key in call.plan.keys:
            for origin in origins(call, key):
                for write in seen.certain_writes(key):
                    if write.made.tick < call.made.tick and before_a_write(origin, write):
                        yield 20, f"{call} got {key!r} of {origin}, from before {write}"


def the_later_of_two_has_the_last_word(seen: CacheEvidence) -> Findings:
    """Check that a value is not served from memory when a later one has been there.

    In a store there may be an older one still, if it failed to take the later.
    """
    if seen.options.store is not None:
        return
    for call in seen.calls:
        for key, value in values(call).items():
            origin: Any = value.source
            if filled(origin).tick > call.made.tick:
                continue
            for later in seen.values_of(key):
                if began(origin).tick < seen.ticket(later).tick and _was_there(
                    seen, later, key, call
                ):
                    yield 20, f"{call} got {key!r} of {origin}, older than of {later}"


def _was_there(seen: CacheEvidence, later: Origin, key: str, call: CallRecord) -> bool:
    """Whether a value surely had been filled when a call was made."""
    if seen.there(later, key).tick >= call.made.tick:
        return False
    return not isinstance(later, Fetch) or not seen.not_filled(later)


def what_memory_has_is_served_at_once(seen: CacheEvidence) -> Findings:
    """Check that a call does not wait for what is surely there, nor gets an error."""
    for call in seen.gets:
        key = call.plan.keys[0]
        ends = min(seen.history.leaving, seen.gone())
        if call.plan.do != "get" or call.plan.fresh or call.made.tick > ends.tick:
            continue
        since = seen.kept_value(key, call.made)
        if since is None:
            continue
        window = seen.shortest_life() + seen.options.stale_while_revalidate
        at_once = call.made.time == call.ended.time and isinstance(call.outcome, Result)
        if call.made.time < since + window and not at_once:
            yield 21, f"{call} got {call.outcome!r}, and there was a value"


def a_spare_value_is_served_in_place_of_an_error(seen: CacheEvidence) -> Findings:
    """Check that no call gets an error if there surely is a value for that case."""
    window = seen.shortest_life() + seen.options.stale_if_error
    for call in seen.gets:
        if (
            call.plan.do != "get"
            or call.plan.fresh
            or not isinstance(call.outcome, WorkError)
            or not seen.options.stale_if_error
            or seen.history.leaving.time <= call.ended.time
        ):
            continue
        since = seen.kept_value(call.plan.keys[0], call.outcome.source.ended)
        if since is not None and call.ended.time < since + window:
            yield 19, f"{call} got {call.outcome!r}, and there was a value for that case"


def errors_that_are_kept_are_answers(seen: CacheEvidence) -> Findings:
    """Check that a call does not wait while an error is surely kept, and no value is."""
    kept = seen.options.kept
    if kept is None or seen.options.store is not None or seen.strayed():
        return
    if seen.options.max_entries < len(seen.program.all_keys()):
        return
    for one in seen.executions:
        if one.ending != "kept" or one.starter is None or seen.may_have_expired(one, one.ended):
            continue
        for call in seen.asking(one.keys[0]):
            if (
                call.plan.do == "get"
                and not call.plan.fresh
                and one.ended.tick < call.made.tick < seen.history.leaving.tick
                and call.made.time < one.ended.time + kept
                and call.ended.time > call.made.time
                and not _something_else(seen, one, call)
            ):
                yield 23, f"{call} waited, and the error of {one} was kept"


def _something_else(seen: CacheEvidence, one: Fetch, call: CallRecord) -> bool:
    """Whether something between the beginning of an execution and a call may count instead."""
    key = one.keys[0]
    return seen.maybe_written(key, one.began, call.made) or any(
        each is not one and each.ended.tick > one.began.tick and each.began.tick < call.made.tick
        for each in seen.fetches(key)
    )


RULES = (
    no_value_is_too_old,
    nothing_is_given_from_before_a_write,
    the_later_of_two_has_the_last_word,
    what_memory_has_is_served_at_once,
    a_spare_value_is_served_in_place_of_an_error,
    errors_that_are_kept_are_answers,
)
