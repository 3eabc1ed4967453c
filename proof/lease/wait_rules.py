"""Rules about waiting: for how long, how it ends, and what it costs the server."""

from __future__ import annotations

from anyflight.lease import Hit, Notice
from proof.history import CANCELLED, FOREVER, PENDING, Instant
from proof.lease.evidence import NEARLY, LeaseEvidence
from proof.lease.history import Ask, Lived, Part
from proof.lease.ledger import Findings, Leased


def every_call_ends(seen: LeaseEvidence) -> Findings:
    """Check those of processes that were not killed."""
    for call in seen.history.calls:
        if call.outcome is PENDING and call.process.killed is FOREVER:
            yield 25, f"{call} has not ended"


def a_cancelled_call_ends_soon(seen: LeaseEvidence) -> Findings:
    """Check that it waits for two requests at most, and for the clean-up of its work."""
    for call in seen.history.calls:
        if call.ended.time <= call.cancelled:
            continue
        process = call.process
        last = call.cancelled + (
            0 if process.plan.coalesces else 3 * seen.patience(process) + call.plan.work.cleanup
        )
        if call.ended.time > last + NEARLY and process.stood(call.cancelled, call.ended.time):
            yield 25, f"{call} was cancelled at {call.cancelled:g}, and ended later than {last:g}"


def nobody_waits_for_longer_than_a_poll_interval(seen: LeaseEvidence) -> Findings:
    """Check that whoever was told that a lease is held asks again in time."""
    for part in seen.history.parts:
        for ask, _, until, _ in seen.waits(part):
            last = ask.returned.time + seen.poll(part.process)
            if until.time > last + NEARLY and part.process.stood(ask.returned.time, until.time):
                yield 25, f"{part} waited from {ask.returned.time:g} to {until.time:g}"


def messages_wake_who_waits(seen: LeaseEvidence) -> Findings:
    """Check that a message about the key, heard since the request was sent, ends the wait."""
    for part in seen.history.parts:
        for ask, _, until, _ in seen.waits(part):
            heard = _heard(part.process, part.key, ask.sent, until)
            if heard and part.process.stood(ask.returned.time, until.time):
                when = max(heard[0][0].time, ask.returned.time)
                if until.time > when:
                    yield 25, f"{part} heard {heard[0][1]}, and waited until {until.time:g}"


def _heard(
    process: Lived, key: str, since: Instant, until: Instant
) -> list[tuple[Instant, Notice]]:
    return [
        (when, notice)
        for when, notice in process.heard
        if notice.key == key and since.tick < when.tick < until.tick
    ]


def whoever_waits_asks_no_more_than_is_needed(seen: LeaseEvidence) -> Findings:
    """Check that each request but the first has a reason: a wait that is over, or a message.

    So one who waits makes two requests in a poll interval at most, and one for each message and
    each end of a lease.
    """
    for part in seen.history.parts:
        for ask, told, until, later in seen.waits(part):
            pause = min(seen.poll(part.process) / 2, told.remaining / part.process.plan.rate)
            if (
                later is not None
                and until.time < ask.returned.time + pause - NEARLY
                and not _heard(part.process, part.key, ask.sent, until)
            ):
                yield 31, f"{part} asked at {ask.returned.time:g}, and at {until.time:g} again"


def leases_are_renewed_when_it_is_time(seen: LeaseEvidence) -> Findings:
    """Check that they are not renewed more often than after a third of their time."""
    last: dict[str, Ask] = {}
    for ask in seen.history.asks:
        if ask.method in {"acquire", "renew"}:
            pause = seen.program.times.ttl / ask.process.plan.rate / 3
            before = last.get(ask.token)
            if (
                before is not None
                and ask.sent.time < before.sent.time + pause - NEARLY
                and not ask.process.was_paused(before.sent.time - pause, before.sent.time)
            ):
                yield 31, f"{ask} was sent soon after {before}"
            last[ask.token] = ask


def a_server_that_is_lost_is_left_in_peace(seen: LeaseEvidence) -> Findings:
    """Check that no more than one call in a retry interval asks it."""
    last: dict[Lived, float] = {}
    for ask in seen.history.asks:
        if ask.method != "acquire" or not seen.has_lost(ask.process, ask.sent):
            continue
        before = last.get(ask.process)
        pause = seen.retry(ask.process)
        if before is not None and ask.sent.time < before + pause - NEARLY:
            yield 31, f"{ask} was sent at {ask.sent.time:g}, and one before at {before:g}"
        last[ask.process] = ask.sent.time


def a_lease_that_ends_is_taken_over(seen: LeaseEvidence) -> Findings:
    """Check that one who waits wins in a poll interval, if there is one who can."""
    for lease in seen.ledger.leases:
        if lease.how in {"", "expired"}:
            for part in seen.history.parts:
                if part.key == lease.key:
                    yield from _takeover(seen, lease, part)


def _takeover(seen: LeaseEvidence, lease: Leased, part: Part) -> Findings:
    end, process = lease.until, part.process
    last = end + seen.poll(process) + seen.program.net.slowest
    for ask, _, until, later in seen.waits(part):
        if not (ask.returned.time <= end <= until.time and process.stood(end, last)):
            continue
        if later is None:
            if part.outcome is CANCELLED or seen.may_have_lost(process, until):
                continue
        elif later.arrived is FOREVER or isinstance(later.answer, Hit):
            continue  # the request was lost, or has found the outcome of an earlier lease
        if not any(
            other.key == lease.key and end <= other.won.time <= last + NEARLY
            for other in seen.ledger.leases
        ):
            yield 30, f"{lease} ended at {end:g}, {part} waited, and nobody won until {last:g}"


RULES = (
    every_call_ends,
    a_cancelled_call_ends_soon,
    nobody_waits_for_longer_than_a_poll_interval,
    messages_wake_who_waits,
    whoever_waits_asks_no_more_than_is_needed,
    leases_are_renewed_when_it_is_time,
    a_server_that_is_lost_is_left_in_peace,
    a_lease_that_ends_is_taken_over,
)
