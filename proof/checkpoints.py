"""Strikes a program at each of its steps: a caller, the owner, or a leader is cancelled there.

A cancellation comes from some other task, or from a timer, between two steps of tasks: so the steps
of a run are all the moments at which one can come. A first run counts them, and writes down who is
there to be cancelled at each; then there is one run for each of these.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from proof.checking import check_world, stage_of
from proof.history import FOREVER, PENDING
from proof.oracle import Violation
from proof.plans import WAYS, Way
from proof.setting import NAME
from proof.stage import Stage
from proof.tasks import tasks_on_asyncio


class Strike(NamedTuple):
    """Whom to cancel, and before which step; a caller by its number, a leader by its place."""

    step: int
    whom: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.whom} {self.number} before step {self.step}"


class Striker:
    """Counts the steps of a world, and strikes at one of them."""

    def __init__(self, world: Stage[Any], strike: Strike | None = None) -> None:
        self._world = world
        self._strike = strike
        self._step = 0
        self.chances: list[Strike] = []
        """What could be done in this run."""

    def before_step(self) -> None:
        """Count a step; strike if this is the one."""
        self._step += 1
        if self._strike is None:
            self.chances.extend(self._chances())
        elif self._step == self._strike.step:
            self._do(self._strike)

    def _chances(self) -> Iterator[Strike]:
        world, step = self._world, self._step
        for call in world.history.calls:
            if call.waits and call.cancelled is FOREVER:
                yield Strike(step, "caller", call.number)
        if world.history.owner is PENDING and world.opened:
            if world.history.leaving is FOREVER or world.history.aborted is FOREVER:
                yield Strike(step, "owner")
            # On Trio nobody can cancel a task that is not his.
            leaders = [] if world.on_trio else tasks_on_asyncio(NAME)
            yield from (Strike(step, "leader", number) for number in range(len(leaders)))

    def _do(self, strike: Strike) -> None:
        world, history = self._world, self._world.history
        if strike.whom == "owner":
            world.cancel_owner()
        elif strike.whom == "caller":
            history.cancel(history.calls[strike.number])
        # In asyncio's own order it may have ended: a group cancels its tasks in that of a set.
        elif strike.number < len(leaders := tasks_on_asyncio(NAME)):
            history.leader_cancelled = history.note(f"leader {strike.number} is cancelled natively")
            leaders[strike.number].cancel()


def chances(program: Any, *, backend: str, seed: int | None) -> list[Strike]:
    """Run a program once; return all that can be done to it."""
    world = stage_of(program)
    striker = Striker(world)
    found = check_world(world, backend=backend, seed=seed, before_step=striker.before_step)
    if found:
        raise AssertionError(f"wrong without any strike: {found}")
    return striker.chances


def strike_once(program: Any, strike: Strike, *, backend: str, seed: int | None) -> list[Violation]:
    """Run a program and strike; return what is wrong then."""
    world = stage_of(program)
    striker = Striker(world, strike)
    with warnings.catch_warnings():
        if strike.whom == "leader":
            # asyncio warns of a coroutine whose task was cancelled before its first step.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        found = check_world(world, backend=backend, seed=seed, before_step=striker.before_step)
        if isinstance(world.history.owner, RuntimeError):
            gc.collect()  # so that it warns now, not during another test
    return found


def strike_all(
    program: Any, *, backend: str, seed: int | None
) -> Iterator[tuple[Strike, list[Violation]]]:
    """Do all that can be done to a program; yield it, with what is wrong then."""
    for strike in chances(program, backend=backend, seed=seed):
        yield strike, strike_once(program, strike, backend=backend, seed=seed)


def in_the_way(program: Any, way: Way) -> Any:
    """Return the program with all its calls, and its owner, cancelled in one way."""
    end = program.end if program.end.way != "scope" else replace(program.end, way=way)
    calls = tuple(replace(call, way=way) for call in program.calls)
    return replace(program, calls=calls, end=end)


def ways_on(backend: str) -> tuple[Way, ...]:
    """Return the ways to be cancelled that differ: on Trio a scope is what is native."""
    return ("scope", "native timeout") if backend == "trio" else WAYS
