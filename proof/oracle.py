"""Says whether a history is one that the laws allow.

It knows nothing of flights: it sees calls, executions, and when each began and ended. From that
it cannot say for a call that was cancelled which flight it waited for, so each rule asks for what
must hold whichever that was. A rule is one function, which yields what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from proof import outcome_rules, policy_rules, time_rules
from proof.evidence import Evidence
from proof.history import History
from proof.plans import Program


class Violation(NamedTuple):
    """Something that no law allows."""

    law: int | None
    """The number of the law; None for what no law speaks of."""
    text: str

    def __str__(self) -> str:
        return f"{'no law' if self.law is None else f'law {self.law}'}: {self.text}"


Rule: TypeAlias = Callable[[Evidence], Iterator[tuple[int | None, str]]]

RULES: tuple[Rule, ...] = (*outcome_rules.RULES, *time_rules.RULES, *policy_rules.RULES)


def violations(program: Program, history: History) -> list[Violation]:
    """Return what is wrong with the history of a program; nothing if all laws hold."""
    evidence = Evidence(program, history)
    found = [Violation(*each) for each in history.remarks]
    found.extend(Violation(*each) for rule in RULES for each in rule(evidence))
    return found
