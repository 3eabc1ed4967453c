"""Says whether a history is one that the laws allow.

It knows nothing of flights: it sees calls, executions, and when each began and ended. From that
it cannot say for a call that was cancelled which flight it waited for, so each rule asks for what
must hold whichever that was. A rule is one function, which yields what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from proof import (
    batch_rules,
    cache_outcomes,
    cache_rules,
    fetch_rules,
    loader_outcomes,
    loader_rules,
    outcome_rules,
    policy_rules,
    time_rules,
)
from proof.cache_evidence import CacheEvidence
from proof.cache_plans import CacheProgram
from proof.evidence import Evidence, Testimony
from proof.history import History
from proof.lease import oracle as lease_oracle
from proof.lease.history import LeaseHistory
from proof.lease.plans import LeaseProgram
from proof.loader_evidence import LoaderEvidence
from proof.loader_plans import LoaderProgram
from proof.plans import Program


class Violation(NamedTuple):
    """Something that no law allows."""

    law: int | None
    """The number of the law; None for what no law speaks of."""
    text: str

    def __str__(self) -> str:
        return f"{'no law' if self.law is None else f'law {self.law}'}: {self.text}"


AnyProgram: TypeAlias = Program | LoaderProgram | CacheProgram | LeaseProgram
AnyHistory: TypeAlias = History[Any] | LeaseHistory
Findings: TypeAlias = Iterator[tuple[int | None, str]]

RULES: tuple[Callable[[Evidence], Findings], ...] = (
    *outcome_rules.RULES,
    *time_rules.RULES,
    *policy_rules.RULES,
)
COMMON_RULES: tuple[Callable[[Testimony[Any, Any]], Findings], ...] = (
    outcome_rules.errors_are_isolated,
    outcome_rules.the_owner_gets_what_it_did,
)
LOADER_RULES: tuple[Callable[[LoaderEvidence], Findings], ...] = (
    *loader_outcomes.RULES,
    *COMMON_RULES,
    *loader_rules.RULES,
    *batch_rules.RULES,
)
CACHE_RULES: tuple[Callable[[CacheEvidence], Findings], ...] = (
    *cache_outcomes.RULES,
    *COMMON_RULES,
    *cache_rules.RULES,
    *fetch_rules.RULES,
)


def violations(program: AnyProgram, history: AnyHistory) -> list[Violation]:
    """Return what is wrong with the history of a program; nothing if all laws hold."""
    found = [Violation(*each) for each in history.remarks]
    found.extend(Violation(*each) for each in _findings(program, history))
    return found


def _findings(program: AnyProgram, history: AnyHistory) -> Findings:
    if isinstance(history, LeaseHistory):
        assert isinstance(program, LeaseProgram)
        yield from lease_oracle.findings(program, history)
    else:
        yield from _findings_of_flights(program, history)


def _findings_of_flights(program: AnyProgram, history: History[Any]) -> Findings:
    if isinstance(program, Program):
        evidence = Evidence(program, history)
        for rule in RULES:
            yield from rule(evidence)
    elif isinstance(program, CacheProgram):
        cache_evidence = CacheEvidence(program, history)
        for cache_rule in CACHE_RULES:
            yield from cache_rule(cache_evidence)
    elif isinstance(program, LoaderProgram):
        loader_evidence = LoaderEvidence(program, history)
        for loader_rule in LOADER_RULES:
            yield from loader_rule(loader_evidence)
