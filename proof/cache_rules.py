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
from itertools import combinations
from typing import Any, TypeAlias

from proof.cache_evidence import CacheEvidence, before_a_write
from proof.cache_history import Fetch, Origin, began, filled, origins, values
from proof.history import FOREVER, CallRecord, Result, WorkError

Findings: TypeAlias = Iterator[tuple[int | None, str]]

PAUSE = 0.1
"""The part of `ttl` for which a value is left in peace after a refresh that failed."""


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


def a_key_is_fetched_twice_at_once_only_where_it_was_asked_for(seen: CacheEvidence) -> Findings:
    """Check that a write or a deadline lies between executions for one key that run at once."""
    for one in seen.executions:
        for other in one.running:
            for key in set(one.keys) & set(other.keys):
                if not (
                    seen.maybe_written(key, min(map(seen.took_off, (one, other))), one.began)
                    or seen.may_have_expired(other, one.began)
                ):
                    yield 4, f"{one} for {key!r} began while {other} ran"


def calls_share_what_runs(seen: CacheEvidence) -> Findings:
    """Check that a call joins an execution that surely has waiters, or is served from memory."""
    for one in seen.executions:
        if one.starter is None or one.ended is FOREVER:
            continue
        key = one.keys[0]
        for call in seen.asking(key):
            if (
                call.plan.do == "get"
                and not call.plan.fresh
                and one.began.tick < call.made.tick < min(one.ended, one.cancelled).tick
                and any(began(each).tick > call.made.tick for each in origins(call, key))
                and one.starter.made.tick < call.made.tick
                and one in origins(one.starter, key)
                and not seen.maybe_written(key, one.starter.made, call.made)
                and not seen.may_have_expired(one, call.made)
                and one.ending == "value"
                and all(isinstance(each, Fetch) for each in origins(call, key))
            ):
                yield 1, f"{call} did not join {one}, which ran for {key!r}"


def nothing_is_fetched_that_nobody_waits_for(seen: CacheEvidence) -> Findings:
    """Check that a call waits for each execution that begins, unless it is of the background."""
    if seen.options.store is not None and seen.options.on_abandon == "finish":
        return
    for one in seen.executions:
        if one.starter is None or seen.may_be_of_background(one):
            continue
        if not any(
            call.made.tick < one.began.tick < call.left.tick for call in seen.asking(one.keys[0])
        ):
            yield 3, f"{one} began, and nobody waited for it"


def executions_go_on_only_for_those_who_wait(seen: CacheEvidence) -> Findings:
    """Check that one that is abandoned is cancelled at once, if it is to be."""
    if seen.options.on_abandon == "finish":
        return
    for one in seen.executions:
        if one.starter is None or seen.may_be_of_background(one):
            continue
        last = max(
            (
                call.left.time
                for call in seen.asking(one.keys[0])
                if call.made.tick < one.ended.tick
                and (call.ended.time > call.made.time or one in origins(call, one.keys[0]))
            ),
            default=one.began.time,
        )
        last = max(last, one.began.time)
        if min(one.cancelled, one.ended).time > last and not seen.undoes(one):
            yield 3, f"{one} went on when everybody had left it"


def what_is_waited_for_is_not_cancelled(seen: CacheEvidence) -> Findings:
    """Check that an execution is cancelled only when all have left it, or with the owner."""
    for one in seen.executions:
        if one.doomed and seen.gone().tick > one.began.tick:
            yield 9, f"{one} began in a task that was being cancelled"
        if (
            one.cancelled is FOREVER
            or seen.gone().tick < one.cancelled.tick
            or seen.struck(one)
            or seen.may_have_expired(one, one.cancelled)
            or one.starter is None
        ):
            continue
        key = one.keys[0]
        if seen.is_of_background(one):
            yield 22, f"{one} was cancelled, which was the cache's own"
        elif any(
            call.made.tick < one.cancelled.tick and one in origins(call, key)
            for call in seen.asking(key)
            if filled(one).tick > call.made.tick
            and call.left.tick > one.cancelled.tick
            and call.ended.time == call.left.time == one.ended.time
        ):
            yield 2, f"{one} was cancelled while it was waited for"


def the_background_asks_only_for_what_is_old(seen: CacheEvidence) -> Findings:
    """Check that a value is fetched in the background when it may be served, and is old."""
    if seen.options.refresh_ahead:
        return
    for one in seen.executions:
        if not seen.is_of_background(one) or one.starter is None:
            continue
        origin: Any = one.starter.outcome.source
        made = one.starter.made.time
        if made - filled(origin).time < seen.shortest_life():
            yield 22, f"{one} is for the value of {origin}, which was fresh still"
        if made - seen.kept_since(origin) >= seen.window() + seen.shelving:
            yield 22, f"{one} is for the value of {origin}, which was not to be served"


def what_is_old_is_fetched_anew(seen: CacheEvidence) -> Findings:
    """Check that work goes on for a value that is served when it is old, unless it has failed."""
    if seen.options.store is not None or seen.strayed():
        return
    for call in seen.gets:
        key = call.plan.keys[0]
        value = values(call).get(key)
        if call.plan.do != "get" or value is None or call.ended.time > call.made.time:
            continue
        origin: Any = value.source
        age = call.made.time - seen.kept_since(origin)
        if not seen.options.ttl <= age < seen.window() or seen.gone().time <= call.made.time:
            continue
        goes_on = any(
            one.began.time <= call.made.time <= one.ended.time and one.ended.tick > call.made.tick
            for one in seen.fetches(key)
        )
        tried = any(not one.has(key) for one in seen.fetches(key))
        if not goes_on and not tried:
            yield 22, f"{call} got {value}, {age} s old, and nobody fetches the next one"


def the_background_leaves_in_peace_what_failed(seen: CacheEvidence) -> Findings:
    """Check that a value is not asked for again at once when that has failed."""
    for one, again in combinations([e for e in seen.executions if seen.is_of_background(e)], 2):
        if one.keys != again.keys or not one.failed or again.starter is None or one.starter is None:
            continue
        key = one.keys[0]
        if (
            one.starter.outcome.source is not again.starter.outcome.source
            or seen.maybe_written(key, one.starter.made, again.starter.made)
            or seen.options.store is not None
            or seen.options.max_entries < len(seen.program.all_keys())
            or again.starter.made.tick < one.ended.tick
        ):
            continue
        kept = seen.options.kept if one.ending == "kept" else None
        pause = seen.options.ttl * PAUSE if kept is None else kept
        others = [
            each
            for each in seen.fetches(key)
            if each not in {one, again} and one.began.tick < each.ended.tick < again.began.tick
        ]
        if not others and again.starter.made.time < one.ended.time + pause:
            yield 22, f"{again} asked for what {one} had just asked for in vain"


def the_owner_takes_its_executions_along(seen: CacheEvidence) -> Findings:
    """Check that an aborted owner cancels what runs, at once, and nothing begins any more."""
    aborted, closed = seen.history.aborted, seen.history.closed
    for one in seen.executions:
        if one.starter is None:
            continue  # the loader is closed after the cache
        if one.began.time > aborted.time:
            yield 10, f"{one} began when the owner was gone"
        if min(one.cancelled, one.ended).time > aborted.time and not seen.undoes(one):
            yield 10, f"{one} went on when the owner was gone"
    for call in seen.calls:
        if call.made.tick > closed.tick and values(call):
            yield 10, f"{call} was made when the block had been left, and got {call.outcome!r}"


def calls_end_when_they_are_told_to(seen: CacheEvidence) -> Findings:
    """Check that a cancelled call waits no longer, unless the store is to be put right."""
    for call in seen.calls:
        undoes = call.plan.do == "set" and seen.options.store is not None
        if call.cancelled.time < call.ended.time and not undoes:
            yield 15, f"{call} went on waiting though it was cancelled"


RULES = (
    no_value_is_too_old,
    nothing_is_given_from_before_a_write,
    the_later_of_two_has_the_last_word,
    what_memory_has_is_served_at_once,
    a_spare_value_is_served_in_place_of_an_error,
    errors_that_are_kept_are_answers,
    a_key_is_fetched_twice_at_once_only_where_it_was_asked_for,
    calls_share_what_runs,
    nothing_is_fetched_that_nobody_waits_for,
    executions_go_on_only_for_those_who_wait,
    what_is_waited_for_is_not_cancelled,
    the_background_asks_only_for_what_is_old,
    what_is_old_is_fetched_anew,
    the_background_leaves_in_peace_what_failed,
    the_owner_takes_its_executions_along,
    calls_end_when_they_are_told_to,
)
