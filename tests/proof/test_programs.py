"""All laws at once: random programs under random schedules, and an oracle that knows the laws."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proof.backends import BACKENDS
from proof.checking import check
from proof.plans import Call, Delay, Program, Work
from proof.programs import random_program
from proof.search import failures

SEEDS = 200


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_law_holds_in_random_programs(backend: str) -> None:
    found = next(failures(backend, range(SEEDS)), None)
    assert found is None, str(found)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_seed_replays_the_same_history(backend: str) -> None:
    for seed in range(20):
        first, again = (check(random_program(seed), backend=backend, seed=seed) for _ in range(2))
        assert first[0].events == again[0].events


def test_a_seed_replays_the_same_history_in_another_process() -> None:
    command = [sys.executable, "-m", "proof", "programs", "--seeds", "1", "--from", "1", "--show"]
    runs = [
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        for hash_seed in "12"
    ]
    first, again = (
        [line for line in run.stdout.splitlines() if not line.startswith("programs:")]
        for run in runs
    )
    assert len(first) > 20
    assert first == again


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_seed_of_a_schedule_decides_the_order_of_tasks(backend: str) -> None:
    work = Work(lasts=Delay(0.0, 3))
    program = Program(calls=tuple(Call(key=key, work=work) for key in "abcd"))
    histories = [check(program, backend=backend, seed=seed)[0] for seed in range(10)]
    assert len({tuple(each.what for each in history.events) for history in histories}) > 5
