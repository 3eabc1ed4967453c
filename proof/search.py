"""Runs the programs of many seeds, and says how to replay one that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from proof.checking import check
from proof.oracle import AnyHistory, Violation
from proof.programs import random_program
from proof.shrink import brief, shrink

COMMAND = "nox -s prove -- programs"

MOST_LINES = 8
"""Of a failure, in its short form."""


class Failure(NamedTuple):
    """A seed, and what is wrong on one back end."""

    seed: int
    backend: str
    program: Any
    history: AnyHistory
    violations: list[Violation]

    def __str__(self) -> str:
        lines = list(dict.fromkeys(f"  {each}\n" for each in self.violations))
        return (
            f"seed {self.seed} on {self.backend}:\n{''.join(lines[-MOST_LINES:])}"
            f"replay it: {COMMAND} --of {self.program.of} --from {self.seed} --seeds 1 "
            f"--backend {self.backend} --show"
        )

    def at_length(self) -> str:
        """Return the smallest program that fails like this one, and its history."""
        law = self.violations[-1].law  # the rules' findings come last, and say most

        def fails(program: Any) -> bool:
            _, found = check(program, backend=self.backend, seed=self.seed)
            return any(each.law == law for each in found)

        program = shrink(self.program, fails)
        history, found = check(program, backend=self.backend, seed=self.seed)
        return "\n".join(
            [
                f"The smallest program that fails so, on {self.backend}, schedule {self.seed}:",
                brief(program),
                *timeline(history),
                *map(str, found),
            ]
        )


def timeline(history: AnyHistory) -> list[str]:
    """Return the lines of a history."""
    return [f"{each.when.tick:6} {each.when.time:8.2f} s  {each.what}" for each in history.events]


def failures(
    backend: str, seeds: Iterable[int], make: Callable[[int], Any] = random_program
) -> Iterator[Failure]:
    """Run the programs that are made of the seeds; yield those that fail."""
    for seed in seeds:
        program = make(seed)
        history, found = check(program, backend=backend, seed=seed)
        if found:
            yield Failure(seed, backend, program, history, found)
