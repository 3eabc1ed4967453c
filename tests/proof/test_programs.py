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
from proof.search import failures
from proof.subjects import SUBJECTS

SEEDS = 120
EACH = [(of, backend) for of, subject in SUBJECTS.items() for backend in subject.backends]


@pytest.mark.parametrize(("of", "backend"), EACH)
def test_every_law_holds_in_random_programs(of: str, backend: str) -> None:
    seeds = range(SEEDS if of == "coalescer" else SEEDS // 2)  # they are longer
    found = next(failures(backend, seeds, SUBJECTS[of].random_program), None)
    assert found is None, str(found)


@pytest.mark.parametrize(("of", "backend"), EACH)
def test_a_seed_replays_the_same_history(of: str, backend: str) -> None:
    for seed in range(20):
        program = SUBJECTS[of].random_program(seed)
        first, again = (check(program, backend=backend, seed=seed) for _ in range(2))
        assert first[0].events == again[0].events


@pytest.mark.parametrize("of", ["coalescer", "lease"])
def test_a_seed_replays_the_same_history_in_another_process(of: str) -> None:
    options = ["--of", of, "--backend", "trio", "--seeds", "1", "--from", "1", "--show"]
    command = [sys.executable, "-m", "proof", "programs", *options]
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
