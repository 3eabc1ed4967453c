"""All rules about leases together."""

from __future__ import annotations

from proof.lease import end_rules, use_rules, wait_rules, work_rules
from proof.lease.evidence import LeaseEvidence
from proof.lease.history import LeaseHistory
from proof.lease.ledger import Findings
from proof.lease.plans import LeaseProgram

RULES = (*wait_rules.RULES, *use_rules.RULES, *work_rules.RULES, *end_rules.RULES)


def findings(program: LeaseProgram, history: LeaseHistory) -> Findings:
    """Yield what is wrong with the history of a program, by the number of the law."""
    seen = LeaseEvidence(program, history)
    yield from seen.ledger.findings
    for rule in RULES:
        yield from rule(seen)
