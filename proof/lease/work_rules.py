"""Rules about when work runs: under a lease, without one, and for how long."""

from __future__ import annotations

from anyflight.lease import Busy, Hit, LeaseUnavailableError, OutcomeKind, Won
from proof.history import CANCELLED, FOREVER
from proof.lease.evidence import NEARLY, LeaseEvidence
from proof.lease.history import Executed
from proof.lease.ledger import Findings, Leased


def work_is_told_to_stop_before_its_lease_ends(seen: LeaseEvidence) -> Findings:
    """Check that none goes on when the time is over for which its lease was known to last."""
    for one in seen.history.executions:
        lease = seen.lease_of(one)
        if lease is None or seen.may_outlast(lease):
            continue
        end = max(
            until
            for ask, until in lease.extended
            if ask.returned.tick < one.told.tick and not ask.failed
        )
        if (
            one.told.time > end + NEARLY
            and not one.process.was_paused(lease.won.time, one.told.time)
            and not seen.heard_invalidation(one.process, one.key, lease.ask.sent, one.told)
        ):
            yield 28, f"{one} went on until {one.told.time:g}, and {lease} was known until {end:g}"


def executions_overlap_only_for_a_reason(seen: LeaseEvidence) -> Findings:
    """Check that one was paused, or its lease was voided, forgotten, or lost and outlasted."""
    under = [one for one in seen.history.executions if one.epoch]
    for one in under:
        for other in under:
            if one.key == other.key and one.began.tick < other.began.tick < one.told.tick:
                leases = seen.lease_of(one), seen.lease_of(other)
                if not any(lease is None or _is_no_more(seen, lease, other) for lease in leases):
                    yield 28, f"{other} ({leases[1]}) began while {one} ({leases[0]}) went on"


def _is_no_more(seen: LeaseEvidence, lease: Leased, other: Executed) -> bool:
    """Whether a lease may have ended without its process knowing, when something else began."""
    process, won = lease.ask.process, lease.won
    return (
        any(won.tick < when.tick < other.began.tick for when in seen.ledger.forgotten)
        or lease.how == "invalidated"
        or seen.may_outlast(lease)
        or process.was_paused(won.time, other.began.time)
    )


def work_runs_without_a_lease_only_for_a_reason(seen: LeaseEvidence) -> Findings:
    """Check that the server could not be asked, or that there was nothing to be had from it."""
    for one in seen.history.executions:
        if one.epoch:
            continue
        before = [ask for ask in one.part.asks if ask.returned.tick < one.began.tick]
        if before and isinstance(before[-1].got, Hit):
            if not _useless(before[-1].got):
                yield 29, f"{one} began, and {before[-1]} was answered with {before[-1].got}"
        elif not (before and before[-1].failed) and not seen.may_have_lost(one.process, one.began):
            yield 29, f"{one} began without a lease, and {one.process} could ask for it"


def nobody_runs_what_it_could_have_shared(seen: LeaseEvidence) -> Findings:
    """Check that who waited for an epoch does not win while its outcome is stored."""
    for part in seen.history.parts:
        told: Busy | None = None
        for ask in part.asks:
            if isinstance(ask.got, Busy):
                told = told or ask.got
            elif told is not None and isinstance(ask.answer, Won):
                for stored in seen.ledger.stored_at(part.key, ask.arrived):
                    if stored.outcome.epoch >= told.epoch + part.fresh:
                        yield 29, f"{part} was told of epoch {told.epoch}, and won beside {stored}"


def _useless(hit: Hit) -> bool:
    outcome = hit.outcome
    return outcome.kind is OutcomeKind.UNSHARED or (
        outcome.kind is OutcomeKind.VALUE and b"undecodable" in outcome.body
    )


def an_unreachable_server_is_an_error_only_where_that_was_asked_for(
    seen: LeaseEvidence,
) -> Findings:
    """Check that there was one, and that the process wants to know."""
    for part in seen.history.parts:
        if isinstance(part.outcome, LeaseUnavailableError):
            failed = bool(part.asks) and part.asks[-1].failed
            if part.process.plan.on_unreachable == "run":
                yield 29, f"{part} was raised {part.outcome!r}, which was not asked for"
            elif not failed and not seen.may_have_lost(part.process, part.ended):
                yield 29, f"{part} was raised {part.outcome!r} without a reason"
    for each in seen.history.invalidations:
        if each.error is not None and not isinstance(each.error, LeaseUnavailableError):
            yield 29, f"an invalidation was raised {each.error!r}"


def no_lease_is_lost_without_a_reason(seen: LeaseEvidence) -> Findings:
    """Check that a renewal was refused or failed, or was late, or the process was paused."""
    times = seen.program.times
    if times.ttl < 4 * times.request_timeout:
        return  # a request that takes long may be reason enough
    for one in seen.history.executions:
        lease = seen.lease_of(one)
        if lease is None or one.cancelled is FOREVER or _is_wanted_no_more(seen, one):
            continue
        bad = any(
            ask.token == lease.token
            and (ask.failed or not ask.answer or ask.returned.tick > one.cancelled.tick)
            for ask in seen.history.asks
            if ask.method == "renew" and ask.sent.tick < one.cancelled.tick
        )
        if not bad and not one.process.was_paused(lease.won.time, one.cancelled.time):
            yield 29, f"{one} was told to stop, and nothing was wrong with {lease}"


def _is_wanted_no_more(seen: LeaseEvidence, one: Executed) -> bool:
    """Whether those who waited for an execution left at the moment in which it was cancelled."""
    return (
        one.part.outcome is CANCELLED
        or one.process.plan.flight_timeout is not None  # or the flight's time was over
        or one.process.stopped.time <= one.cancelled.time
        or one.process.killed.time <= one.cancelled.time
        or any(
            call.process is one.process
            and call.plan.key == one.key
            and call.cancelled == one.cancelled.time
            for call in seen.history.calls
        )
    )


def work_that_is_wanted_no_more_is_cancelled(seen: LeaseEvidence) -> Findings:
    """Check that an execution of a lease's own call ends with it."""
    for one in seen.history.executions:
        if one.told.tick > one.part.ended.tick and one.process.killed is FOREVER:
            yield 28, f"{one} went on when {one.part} had ended"


RULES = (
    work_is_told_to_stop_before_its_lease_ends,
    executions_overlap_only_for_a_reason,
    work_runs_without_a_lease_only_for_a_reason,
    nobody_runs_what_it_could_have_shared,
    an_unreachable_server_is_an_error_only_where_that_was_asked_for,
    no_lease_is_lost_without_a_reason,
    work_that_is_wanted_no_more_is_cancelled,
)
