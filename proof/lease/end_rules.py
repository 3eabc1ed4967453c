"""Rules about what is left: leases of those who have gone, and the counters."""

from __future__ import annotations

from collections import Counter

from anyflight.lease import Won
from proof.history import FOREVER
from proof.lease.evidence import NEARLY, LeaseEvidence
from proof.lease.history import Ask, Lived
from proof.lease.ledger import Findings

PATIENT = frozenset({"acquire", "renew", "commit", "release"})
"""What is asked so that it is known what came of it."""


def requests_are_waited_for(seen: LeaseEvidence) -> Findings:
    """Check that no cancellation ends the wait for an answer, which is to be acted on."""
    for ask in seen.history.asks:
        if ask.method in PATIENT and ask.failed and not ask.error:
            last = ask.sent.time + seen.patience(ask.process)
            if ask.returned.time < last - NEARLY and ask.process.killed is FOREVER:
                yield 32, f"{ask} was given up after {ask.returned.time - ask.sent.time:g} s"


def nobody_waits_for_the_server_for_long(seen: LeaseEvidence) -> Findings:
    """Check that every request is bounded."""
    for ask in seen.history.asks:
        until = ask.sent.time + seen.patience(ask.process)
        if (
            ask.method in PATIENT
            and ask.returned.time > until + NEARLY
            and ask.process.stood(ask.sent.time, ask.returned.time)
        ):
            yield 25, f"{ask} was waited for until {ask.returned.time:g}"


def who_has_gone_holds_no_lease(seen: LeaseEvidence) -> Findings:
    """Check that a lease whose part has ended was ended too, if the server could be told."""
    for lease in seen.ledger.leases:
        part = lease.ask.part
        if part is None or part.ended is FOREVER or part.process.killed is not FOREVER:
            continue
        mine = [ask for ask in seen.history.asks if ask.token == lease.token]
        if any(ask.failed for ask in mine if ask.method != "renew"):
            continue
        if lease.ended.tick > part.ended.tick and lease.lasts(part.ended.time):
            yield 32, f"{part} has ended, and {lease} lasts"


def counters_tell_what_happened(seen: LeaseEvidence) -> Findings:
    """Check the statistics of each lease that was closed."""
    for process in seen.history.processes:
        now = process.statistics
        if now is None:
            continue
        for name, wanted in _counted(seen, process).items():
            if getattr(now, name) != wanted:
                yield 32, f"{process} counts {getattr(now, name)} {name}, and there were {wanted}"
        ends = now.committed + now.fenced + now.uncommitted + now.released + now.lost
        if now.won != ends + now.holding:
            yield 32, f"{process} counts {now.won} leases won, and {ends} ends of them"


def _counted(seen: LeaseEvidence, process: Lived) -> dict[str, int]:
    asks = [ask for ask in seen.history.asks if ask.process is process]
    parts = [part for part in seen.history.parts if part.process is process]
    answers: Counter[tuple[str, object]] = Counter(
        (ask.method, "failed" if ask.failed else _said(ask)) for ask in asks
    )
    of_parts = [ask for ask in asks if ask.method in {*PATIENT, "invalidate"}]
    return {
        "calls": len(parts),
        "won": answers["acquire", "won"],
        "committed": answers["commit", True],
        "fenced": answers["commit", False],
        "uncommitted": answers["commit", "failed"],
        "renewals": answers["renew", True],
        "requests": len(of_parts),
    }


def _said(ask: Ask) -> object:
    if ask.method in {"commit", "renew"}:
        return ask.answer
    return "won" if isinstance(ask.answer, Won) else ""


RULES = (
    requests_are_waited_for,
    nobody_waits_for_the_server_for_long,
    who_has_gone_holds_no_lease,
    counters_tell_what_happened,
)
