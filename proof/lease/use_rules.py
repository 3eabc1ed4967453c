"""Rules about what a call may be given."""

from __future__ import annotations

from anyflight.lease import Busy, RemoteFlightError
from proof.lease.evidence import LeaseEvidence
from proof.lease.ledger import Findings
from proof.lease.work import WorkError, stored_source


def a_fresh_call_is_given_what_began_after_it(seen: LeaseEvidence) -> Findings:
    """Check calls of leases and coalescers."""
    for call in seen.history.calls:
        one = seen.execution(call.outcome)
        if one is not None and call.plan.fresh and one.began.tick < call.made.tick:
            yield 26, f"{call} is fresh, and got what {one} had begun before"
    for part in seen.history.parts:
        one = seen.execution(part.outcome)
        if one is not None and part.fresh and one.began.tick < part.began.tick:
            yield 26, f"{part} is fresh, and got what {one} had begun before"


def a_call_is_given_nothing_that_an_invalidation_has_overtaken(seen: LeaseEvidence) -> Findings:
    """Check that what began before an invalidation is given to no call made when it was known."""
    for each in seen.history.invalidations:
        for call in seen.history.calls:
            one = seen.execution(call.outcome)
            if (
                one is not None
                and one.key == each.key
                and one.began.tick < each.made.tick
                and seen.known(each, call).tick < call.made.tick
            ):
                yield 26, f"{call} was made after an invalidation, and got what {one} began before"


def a_call_is_given_nothing_of_a_flight_that_was_forgotten(seen: LeaseEvidence) -> Findings:
    """Check that as long as its work goes on later calls get what began later.

    It goes on also when its time is over, and it has landed, if the work ignores that. But if it
    only waited for another process, what that does may be joined from then on.
    """
    for each in seen.history.forgets:
        in_the_air = [
            part
            for part in seen.history.parts
            if part.process is each.process
            and part.key == each.key
            and part.began.tick < each.when.tick < part.ended.tick
        ]
        for call in seen.history.calls:
            one = seen.execution(call.outcome)
            if (
                one is not None
                and (call.process, call.plan.key) == (each.process, each.key)
                and one.began.tick < each.when.tick < call.made.tick
                and any(call.made.tick < part.ended.tick for part in in_the_air)
                and (each.process.plan.flight_timeout is None or one.part in in_the_air)
            ):
                yield 26, f"{call} was made after forget, and got what {one} began before"


def a_call_is_given_nothing_that_was_over(seen: LeaseEvidence) -> Findings:
    """Check that the outcome of another was not stored before the call, nor older than it said."""
    for part in seen.history.parts:
        one = seen.execution(part.outcome)
        if one is None or one.part is part:
            continue
        if one.key != part.key:
            yield 26, f"{part} for {part.key!r} got what {one} did for {one.key!r}"
        if seen.ledger.commit_of(one.epoch, one.key).tick < part.began.tick:
            yield 26, f"{part} got the outcome of {one}, which had been stored before"
        told = seen.first_told(part)
        if isinstance(told, Busy) and one.epoch < told.epoch + part.fresh:
            yield 26, f"{part} got epoch {one.epoch}, and had been told of {told.epoch}"


def a_call_of_a_coalescer_is_given_what_was_in_the_air(seen: LeaseEvidence) -> Findings:
    """Check that what it got came to its process when it had been made."""
    for call in seen.history.calls:
        one = seen.execution(call.outcome)
        if one is None:
            continue
        if one.key != call.plan.key:
            yield 26, f"{call} for {call.plan.key!r} got what {one} did for {one.key!r}"
        if not any(
            part.process is call.process
            and part.ended.tick > call.made.tick
            and seen.execution(part.outcome) is one
            for part in seen.history.parts
        ):
            yield 26, f"{call} got the outcome of {one}, and nobody brought it"


def errors_say_where_they_come_from(seen: LeaseEvidence) -> Findings:
    """Check that the work's own errors are raised where it ran, and others elsewhere."""
    for part in seen.history.parts:
        one = seen.execution(part.outcome)
        if one is None or not isinstance(part.outcome, Exception):
            continue
        wanted = WorkError if one.part is part else RemoteFlightError
        if not isinstance(part.outcome, wanted):
            yield 26, f"{part} was raised {part.outcome!r}, and {one} ran in {one.part}"
        if isinstance(part.outcome, RemoteFlightError) and part.outcome.type_name != NAME:
            yield 26, f"{part} was raised {part.outcome!r} of a {part.outcome.type_name}"


def what_is_stored_is_what_was_made(seen: LeaseEvidence) -> Findings:
    """Check that an outcome is of the execution under its lease."""
    for lease in seen.ledger.leases:
        made = [one for one in seen.history.executions if seen.lease_of(one) is lease]
        if len(made) > 1:
            yield 27, f"{lease} is that of {len(made)} executions"
        if made and made[0].part is not lease.ask.part:
            yield 27, f"{made[0]} believes to have {lease}"
    for stored in seen.ledger.stored:
        number = stored_source(stored.outcome)
        if number is not None and seen.history.executions[number].epoch != stored.outcome.epoch:
            yield 27, f"{stored} is not of {seen.history.executions[number]}"
    for one in seen.history.executions:
        if one.epoch and seen.lease_of(one) is None:
            yield 27, f"{one} has a fencing number that is none: {one.epoch}"


NAME = f"{WorkError.__module__}.{WorkError.__qualname__}"
RULES = (
    a_fresh_call_is_given_what_began_after_it,
    a_call_is_given_nothing_that_an_invalidation_has_overtaken,
    a_call_is_given_nothing_of_a_flight_that_was_forgotten,
    a_call_is_given_nothing_that_was_over,
    a_call_of_a_coalescer_is_given_what_was_in_the_air,
    errors_say_where_they_come_from,
    what_is_stored_is_what_was_made,
)
