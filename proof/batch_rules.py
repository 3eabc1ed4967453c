"""Rules about batches: what is in one, how many run, and when one goes.

The laws of docs/how-it-works.md are those of flights. For batches there are two more here:

17. A batch has distinct keys in the order of arrival, at most `max_batch_size`; at most
    `max_concurrent_batches` of a loader run, those that have expired aside.
18. A batch goes as soon as it is full, or its `max_delay` is over, or, if all slots were taken, one
    of them is free; not before; and with all keys that could be loaded then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

from proof.history import CallRecord, Instant
from proof.loader_evidence import LoaderEvidence
from proof.loader_history import BatchRun, source

Findings: TypeAlias = Iterator[tuple[int | None, str]]


def batches_are_bounded(seen: LoaderEvidence) -> Findings:
    """Check the number of keys in a batch, and of batches that run."""
    for one in seen.executions:
        if len(set(one.keys)) < len(one.keys):
            yield 17, f"{one} had a key twice: {one.keys}"
        if not 1 <= len(one.keys) <= seen.bounds.max_batch_size:
            yield 17, f"{one} had {len(one.keys)} keys"
        beside = [each for each in one.running if not seen.may_have_expired(each, one.began)]
        if len(beside) >= seen.bounds.max_concurrent_batches:
            yield 17, f"{one} began beside {beside}"


def keys_come_in_the_order_of_arrival(seen: LoaderEvidence) -> Findings:
    """Check that no key is before one that surely came earlier."""
    for one in seen.executions:
        for place, key in enumerate(one.keys):
            came = min((_place(call, key) for call in _before(seen, one, key)), default=(0.0, 0))
            for other in one.keys[place + 1 :]:
                if _certain_arrival(seen, one, other) < came:
                    yield 17, f"{one} had {key!r} before {other!r}, which had come earlier"


def _before(seen: LoaderEvidence, one: BatchRun, key: str) -> Iterator[CallRecord]:
    return (call for call in seen.waiters(one, key) if call.made.tick < one.began.tick)


def _certain_arrival(seen: LoaderEvidence, one: BatchRun, key: str) -> tuple[float, int]:
    """Return when a key surely had come: that is when it was called for, unless it was queued."""
    return min(
        (
            _place(call, key)
            for call in _before(seen, one, key)
            if source(call, key) is one and not _runs(seen, key, call.made)
        ),
        default=_place(None, key),
    )


def _place(call: CallRecord | None, key: str) -> tuple[float, int]:
    if call is None:
        return (float("inf"), 0)
    return (call.made.tick, call.plan.keys.index(key))


def _runs(seen: LoaderEvidence, key: str, when: Instant) -> bool:
    """Whether work for a key went on at an instant: then a call may have been queued."""
    return any(
        one.began.tick < when.tick < one.ended.tick or when in {one.began, one.ended}
        for one in seen.batches_with(key)
    )


def batches_go_as_soon_as_they_may(seen: LoaderEvidence) -> Findings:
    """Check that a batch waits for nothing but its keys, its delay, a slot, and a token."""
    if _nobody_sees_slots(seen) or isinstance(seen.history.owner, RuntimeError):
        return
    for one in seen.executions:
        due = _due(seen, one)
        if due < one.began.time and not _kept_waiting(seen, one, due):
            yield 18, f"{one} began late: nothing had kept it waiting from {due} s on"


def _nobody_sees_slots(seen: LoaderEvidence) -> bool:
    # Nor when a batch takes off that waits for its token, nor its deadline.
    return seen.bounds.tokens is not None and seen.bounds.flight_timeout is not None


def _due(seen: LoaderEvidence, one: BatchRun) -> float:
    """Return by when the batch should have begun, if there was nothing to wait for but its keys."""
    arrivals: list[float] = []  # of each key, by which it surely had come
    for key in one.keys:
        certain = [c for c in _before(seen, one, key) if source(c, key) is one]
        made = min((call.made.time for call in certain), default=one.began.time)
        freed = [seen.landed(each) for each in seen.batches_with(key) if each is not one]
        freed += [each.when.time for each in seen.history.forgets if each.key == key]
        arrivals.append(max([made, *(time for time in freed if made <= time <= one.began.time)]))
    first, last = min(arrivals), max(arrivals)
    due = min(first + seen.bounds.max_delay, _first_slot(seen, one, first))
    if not one.of_other:  # that is closed later
        due = min(due, max(first, seen.history.closing.time))
    return min(due, last) if len(one.keys) == seen.bounds.max_batch_size else due


def _first_slot(seen: LoaderEvidence, one: BatchRun, since: float) -> float:
    """Return when one of the slots was free again that were all taken when the batch gathered."""
    others = [each for each in seen.alike(one) if each is not one]
    ends = sorted(seen.landed(each) for each in others if seen.landed(each) > since)
    for end in ends:
        before = [each for each in others if each.began.time < end <= seen.landed(each)]
        if len(before) >= seen.bounds.max_concurrent_batches:
            return end
    return math.inf


def _kept_waiting(seen: LoaderEvidence, one: BatchRun, since: float) -> bool:
    """Whether all slots, or all tokens, were taken from some time on until the batch began."""
    until = one.began.time
    others = [each for each in seen.executions if each is not one]
    times = {time for each in others for time in (each.began.time, seen.landed(each))}
    for start, end in pairwise(sorted({since, until, *(t for t in times if since < t < until)})):
        running = [e for e in others if e.began.time <= start and seen.landed(e) >= end]
        alike = sum(each.of_other is one.of_other for each in running)
        tokens = seen.bounds.tokens
        if alike < seen.bounds.max_concurrent_batches and (tokens is None or len(running) < tokens):
            return False
    return True


def no_batch_goes_before_its_delay(seen: LoaderEvidence) -> Findings:
    """Check that it is full then, or has been waiting for a slot, or the loader is closing."""
    delay = seen.bounds.max_delay
    for one in seen.executions:
        when, candidates = one.began.time, _candidates(seen, one)
        opened = min((call.made.time for call, _ in candidates), default=when)
        if when >= min(opened + delay, seen.history.closing.time):
            continue
        if not _may_have_been_full(seen, one) and not _got_a_slot(seen, one):
            yield 18, f"{one} began before its delay was over"


def _candidates(seen: LoaderEvidence, one: BatchRun) -> list[tuple[CallRecord, str]]:
    """Return the calls that may have waited in the batch before it began, and for which key."""
    return [
        (call, key)
        for call in seen.calls_alike(one)
        for key in call.plan.keys
        if call.made.tick < one.began.tick and source(call, key) in {one, None}
    ]


def _may_have_been_full(seen: LoaderEvidence, one: BatchRun) -> bool:
    keys = {key for _, key in _candidates(seen, one)}
    return len(keys) >= seen.bounds.max_batch_size


def _got_a_slot(seen: LoaderEvidence, one: BatchRun) -> bool:
    """Whether it may have been waiting for the slot of one that landed in this moment."""
    when = one.began.time
    if seen.bounds.tokens is not None:  # one that waits for its token has a slot too
        left = {call.left.time for call in seen.calls} | {e.ended.time for e in seen.executions}
        return when in left
    others = [each for each in seen.alike(one) if each is not one]
    there = [each for each in others if each.began.time <= when <= seen.landed(each)]
    enough = len(there) >= seen.bounds.max_concurrent_batches
    return enough and any(seen.landed(each) == when for each in there)


def batches_take_along_all_that_has_gathered(seen: LoaderEvidence) -> Findings:
    """Check that no key stays behind that could be loaded, if there is room."""
    for one in seen.executions:
        if _may_have_been_full(seen, one):
            continue
        for other in seen.alike(one):
            if other.began.tick <= one.began.tick or _may_have_been_full(seen, other):
                continue
            for call, key in seen.served(other):
                if call.made.tick < one.began.tick and not _runs(seen, key, one.began):
                    yield 18, f"{one} began without {key!r}, for which {call} waited"


def no_batch_outlasts_its_deadline(seen: LoaderEvidence) -> Findings:
    """Check that nobody is given the outcome of a batch whose time was over."""
    timeout = seen.bounds.flight_timeout
    if timeout is None:
        return
    gone = seen.gone().time  # and with it who keeps the deadlines: from then on there are none
    for one in seen.executions:
        if one.ended.time > one.began.time + timeout < gone:
            for call, _ in seen.served(one):
                yield 12, f"{call} got the outcome of {one}, whose time was over"


RULES = (
    batches_are_bounded,
    keys_come_in_the_order_of_arrival,
    batches_go_as_soon_as_they_may,
    no_batch_goes_before_its_delay,
    batches_take_along_all_that_has_gathered,
    no_batch_outlasts_its_deadline,
)
