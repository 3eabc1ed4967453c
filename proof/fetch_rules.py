"""Rules about the executions that fill a cache: who shares them, and when it asks again.

Law 22 of cache_rules.py is about those in the background.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, TypeAlias

from proof.cache_evidence import CacheEvidence
from proof.cache_history import Fetch, began, filled, origins, values
from proof.history import FOREVER

Findings: TypeAlias = Iterator[tuple[int | None, str]]

PAUSE = 0.1
"""The part of `ttl` for which a value is left in peace after a refresh that failed."""


def a_key_is_fetched_twice_at_once_only_where_it_was_asked_for(seen: CacheEvidence) -> Findings:
    """Check that a write or a deadline lies between executions for one key that run at once."""
    for one in seen.executions:
        for other in one.running:
            for key in set(one.keys) & set(other.keys):
                if not (
                    seen.maybe_written(key, min(map(seen.took_off, (one, other))), one.began)
                    or seen.may_have_expired(other, one.began)
                    or (one.starter is None and seen.asked_fresh(key, other.began, one.began))
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
        undoes = call.plan.do in {"set", "get_many"} and seen.options.store is not None
        if call.cancelled.time < call.ended.time and not undoes:
            yield 15, f"{call} went on waiting though it was cancelled"


RULES = (
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
