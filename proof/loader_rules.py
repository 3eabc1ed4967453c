"""Rules about the flights of keys: who shares them, and for how long batches go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from anyflight import FlightCancelledError
from proof.history import FOREVER
from proof.loader_evidence import LoaderEvidence
from proof.loader_history import BatchRun, source
from proof.loader_plans import OTHER

Findings: TypeAlias = Iterator[tuple[int | None, str]]


def a_key_is_loaded_twice_at_once_only_where_it_was_asked_for(seen: LoaderEvidence) -> Findings:
    """Check that forget() or a deadline lies between batches with one key that run at once."""
    for one in seen.executions:
        for other in one.running:
            for key in set(one.keys) & set(other.keys):
                if not (
                    seen.forgotten(other, key, one.began) or seen.may_have_expired(other, one.began)
                ):
                    yield 4, f"{one} with {key!r} began while {other} ran"


def calls_share_the_running_batch(seen: LoaderEvidence) -> Findings:
    """Check that a call joins a batch that runs with its key, and surely has waiters."""
    for one in seen.executions:
        for key in one.keys:
            for call in seen.asking(key):
                if (
                    source(call, key) not in {one, None}
                    and not call.plan.fresh
                    and one.began.tick < call.made.tick < min(one.ended, one.cancelled).tick
                    and seen.waited_throughout(one, call.made)
                    and not seen.forgotten(one, key, call.made)
                ):
                    yield 1, f"{call} did not join {one}, which ran with {key!r}"


def calls_share_what_has_not_begun(seen: LoaderEvidence) -> Findings:
    """Check that a call joins the flight of its key that has waiters and has not begun."""
    for one in seen.executions:
        for first, key in seen.served(one):
            for call in seen.asking(key):
                if not first.made.tick < call.made.tick < one.began.tick:
                    continue
                runs = any(
                    each.began.tick < call.made.tick < each.ended.tick
                    for each in seen.batches_with(key)
                )
                if source(call, key) not in {one, None} and (call.plan.fresh or not runs):
                    law = 5 if call.plan.fresh else 1
                    yield law, f"{call} did not join {one}, which had not begun with {key!r}"


def nothing_is_loaded_that_nobody_waits_for(seen: LoaderEvidence) -> Findings:
    """Check that each key of a batch has a waiter when it begins."""
    for one in seen.executions:
        for key in one.keys:
            if not any(
                call.made.tick < one.began.tick < call.left.tick for call in seen.waiters(one, key)
            ):
                yield 3, f"{one} began with {key!r}, and nobody waited for that"


def batches_run_in_the_context_of_whoever_opened_them(seen: LoaderEvidence) -> Findings:
    """Check that this is a call that may have done so, or the owner."""
    for one in seen.executions:
        opener = one.context
        if seen.program.context == "owner":
            if opener is not None:
                yield 14, f"{one} ran in the context of {opener}, not of the owner"
            continue
        if opener is None or opener not in seen.calls_alike(one):
            yield 14, f"{one} ran in the context of {opener}"
            continue
        sources = {source(opener, key) for key in opener.plan.keys}
        if not sources & {one, None}:
            yield 14, f"{one} ran in the context of {opener}, which waited for others: {sources}"
        if opener.plan.doomed and opener.plan.way == "scope":
            yield 15, f"{opener} was cancelled when it was made, and opened {one}"


def batches_go_on_only_for_those_who_wait(seen: LoaderEvidence) -> Findings:
    """Check that a batch is cancelled as soon as all its keys are abandoned."""
    for one in seen.executions:
        last = max(
            (
                call.left.time
                for key in one.keys
                for call in seen.waiters(one, key)
                if call.made.tick < one.ended.tick
            ),
            default=one.began.time,
        )
        if min(one.cancelled, one.ended).time > last:
            yield 3, f"{one} went on when everybody had left all its keys"


def batches_that_are_waited_for_are_not_cancelled(seen: LoaderEvidence) -> Findings:
    """Check that one is cancelled only by the leaving of the last waiter, or with the owner."""
    struck = seen.history.leader_cancelled
    for one in seen.executions:
        if one.doomed and seen.gone().tick > one.began.tick:
            yield 9, f"{one} began in a task that was being cancelled"
        if one.cancelled is FOREVER or seen.gone().tick < one.cancelled.tick:
            continue
        if struck.tick < one.cancelled.tick and struck.time == one.cancelled.time:
            continue
        if seen.waited_throughout(one, one.cancelled) or _surely_wanted(seen, one):
            yield 2, f"{one} was cancelled while it was waited for"


def _surely_wanted(seen: LoaderEvidence, one: BatchRun) -> bool:
    """Whether a waiter of the batch was still there when it noticed its cancellation.

    That is one which asked for a key of it before it began and went on waiting: it was in this
    batch, unless some other had the key, or could have it.
    """
    if seen.may_have_expired(one, one.cancelled):
        return False
    for key in one.keys:
        if len(seen.batches_with(key)) > 1 or any(e.key == key for e in seen.history.forgets):
            continue
        for call in seen.asking(key):
            stays = one.cancelled.tick < min(call.cancelled, call.left).tick
            if call.made.tick < one.began.tick and stays:
                return True
    return False


def the_owner_takes_its_batches_along(seen: LoaderEvidence) -> Findings:
    """Check that an aborted owner cancels what runs, at once, and nothing begins any more."""
    aborted, closed = seen.history.aborted, seen.history.closed
    for one in seen.executions:
        if one.of_other:
            continue  # it is closed after the first loader, when that has cleaned up
        if one.began.time > aborted.time:
            yield 10, f"{one} began when the owner was gone"
        if min(one.cancelled, one.ended).time > aborted.time:
            yield 10, f"{one} went on when the owner was gone"
    for call in seen.calls:
        taken = any(source(call, key) for key in call.plan.keys)
        if call.made.tick > closed.tick and (
            taken or isinstance(call.outcome, FlightCancelledError)
        ):
            yield 10, f"{call} was made when the block had been left, and got {call.outcome!r}"


def the_owner_gives_up_what_has_not_begun(seen: LoaderEvidence) -> Findings:
    """Check that a call ends with the owner, at once, unless something that runs may serve it."""
    gone = seen.history.aborted.time
    if isinstance(seen.history.owner, RuntimeError):
        return  # a leader never ran: those who wait for its flight are told when all others ended
    for call in seen.calls:
        if {*OTHER} & set(call.plan.keys):
            continue
        if call.made.time <= gone < call.left.time and not any(
            seen.may_serve(one, call) and one.ended.time > gone for one in seen.executions
        ):
            yield 10, f"{call} went on waiting for nothing that had begun when the owner was gone"


def calls_end_when_they_are_told_to(seen: LoaderEvidence) -> Findings:
    """Check that a cancelled call waits no longer."""
    for call in seen.calls:
        if call.cancelled.time < call.ended.time:
            yield 15, f"{call} went on waiting though it was cancelled"


def forget_tells_whether_there_was_a_flight(seen: LoaderEvidence) -> Findings:
    """Check that what a batch runs with can be forgotten, once, and nothing else."""
    for each in seen.history.forgets:
        running = [
            one
            for one in seen.batches_with(each.key)
            if one.began.tick < each.when.tick < one.ended.tick
        ]
        if each.answer and not running:
            yield None, f"key {each.key!r} was forgotten, and did not run: {each}"
        elif not each.answer and not all(
            seen.forgotten(one, each.key, each.when)
            or seen.may_have_expired(one, each.when)
            or seen.history.leader_cancelled is not FOREVER
            for one in running
        ):
            yield None, f"key {each.key!r} ran, and was not forgotten: {each}"


RULES = (
    a_key_is_loaded_twice_at_once_only_where_it_was_asked_for,
    calls_share_the_running_batch,
    calls_share_what_has_not_begun,
    nothing_is_loaded_that_nobody_waits_for,
    batches_run_in_the_context_of_whoever_opened_them,
    batches_go_on_only_for_those_who_wait,
    batches_that_are_waited_for_are_not_cancelled,
    the_owner_takes_its_batches_along,
    the_owner_gives_up_what_has_not_begun,
    calls_end_when_they_are_told_to,
    forget_tells_whether_there_was_a_flight,
)
