"""Runs one program on one back end, and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from proof.backends import run
from proof.history import History
from proof.oracle import Violation, violations
from proof.plans import Program
from proof.world import World


def check(program: Program, *, backend: str, seed: int | None) -> tuple[History, list[Violation]]:
    """Run a program on the schedule of a seed; return its history and what is wrong with it."""
    world = World(program)
    return world.history, check_world(world, backend=backend, seed=seed)


def check_world(
    world: World,
    *,
    backend: str,
    seed: int | None,
    before_step: Callable[[], object] | None = None,
) -> list[Violation]:
    """Run a world that has been prepared; return what is wrong with it."""
    try:
        run(world.play, backend=backend, seed=seed, before_step=before_step)
    except Exception as exc:  # whatever it is, it should not have come out
        world.history.remarks.append((None, f"out of the event loop came {exc!r}"))
    return violations(world.program, world.history)
