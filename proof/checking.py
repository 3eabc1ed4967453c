"""Runs one program on one back end, and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proof.backends import run
from proof.cache_plans import CacheProgram
from proof.cache_world import CacheWorld
from proof.lease.plans import LeaseProgram
from proof.lease.world import LeaseWorld
from proof.loader_plans import LoaderProgram
from proof.loader_world import LoaderWorld
from proof.oracle import AnyHistory, AnyProgram, Violation, violations
from proof.plans import Program
from proof.shuffled_loop import HangError
from proof.stage import Stage
from proof.world import World


def world_of(program: AnyProgram) -> Stage[Any] | LeaseWorld:
    """Return the world in which a program is played."""
    return LeaseWorld(program) if isinstance(program, LeaseProgram) else stage_of(program)


def stage_of(program: Program | LoaderProgram | CacheProgram) -> Stage[Any]:
    """Return that of a program about flights."""
    if isinstance(program, Program):
        return World(program)
    return CacheWorld(program) if isinstance(program, CacheProgram) else LoaderWorld(program)


def check(
    program: AnyProgram, *, backend: str, seed: int | None
) -> tuple[AnyHistory, list[Violation]]:
    """Run a program on the schedule of a seed; return its history and what is wrong with it."""
    world = world_of(program)
    return world.history, check_world(world, backend=backend, seed=seed)


def check_world(
    world: Stage[Any] | LeaseWorld,
    *,
    backend: str,
    seed: int | None,
    before_step: Callable[[], object] | None = None,
) -> list[Violation]:
    """Run a world that has been prepared; return what is wrong with it."""
    try:
        run(world.play, backend=backend, seed=seed, before_step=before_step)
    except HangError as exc:
        world.history.remarks.append((16, str(exc)))
    except Exception as exc:  # whatever it is, it should not have come out
        world.history.remarks.append((None, f"out of the event loop came {exc!r}"))
    return violations(world.program, world.history)
