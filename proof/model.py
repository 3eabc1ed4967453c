"""Runs the flight table against its model, for as many steps as are asked for.

The machine is that of `tests/test_flight.py`; here its steps are counted, and drawn at random.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from itertools import count
from math import ceil

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

EXAMPLES = 500
"""In each round of Hypothesis, at most."""
LENGTH = 60
"""Steps of an example, at most."""


def run_model(steps: int, *, phases: Collection[Phase] = tuple(Phase)) -> int:
    """Return how many steps were made, at least as many as asked for; raises what one raises."""
    made = count()
    taken = 0

    @invariant()
    def a_step_was_made(_self: object) -> None:
        next(made)

    machine = import_module("tests.test_flight").TableMachine
    counted = type("Counted", (machine,), {"a_step_was_made": a_step_was_made})
    rounds = settings(
        max_examples=min(EXAMPLES, ceil(steps / LENGTH)),
        stateful_step_count=LENGTH,
        phases=phases,
        derandomize=False,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    while taken < steps:
        run_state_machine_as_test(counted, settings=rounds)
        taken = next(made)
    return taken
