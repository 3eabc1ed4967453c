"""Runs the tests against each mutant: one that they do not notice is a gap, or makes no difference.

A mutant that makes no difference is listed in `survivors.toml` with the reason. One that survives
and is not listed fails the run, and so does one that is listed and does not survive.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import anyflight
from proof.mutator import changes

PACKAGE = Path(anyflight.__file__).parent
SURVIVORS = Path(__file__).with_name("survivors.toml")
MODULES = ("_flight", "_coalescer")
"""What decides, and what takes calls. `--module` names others."""

FIRST = (
    "tests/test_flight.py",
    "tests/coalescer/test_one_flight.py",
    "tests/coalescer/test_bad_use.py",
    "tests/coalescer/test_landing.py",
    "tests/coalescer/test_timeout.py",
)
"""Takes a few seconds, and kills most mutants."""

TESTS = (
    "tests/coalescer",
    "tests/proof/test_programs.py",
    "tests/proof/test_checkpoints.py",
)
"""Run against those that survive the first."""
ONLY = "not uvloop and not eager"
"""What runs on asyncio and on Trio; that the others differ is not what a mutant is about."""

GOAL = 0.95
"""The share of the mutants that must be killed."""

PATIENCE = 3.0
"""How many times as long as without a change a run may take: the machine may be busy with others.
A mutant may well hang, so whatever takes longer counts as killed."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module that differs in one place, which its name describes."""

    module: str
    name: str
    source: str


UNCHANGED = Mutant("", "no change", "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    killed: bool
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command can be given."""
    parser.set_defaults(run=run)
    parser.add_argument("--module", action="append", help="such as _flight; may be repeated")
    parser.add_argument("--limit", type=int, help="try only so many, evenly spread")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")


def all_mutants(modules: Iterable[str] = MODULES) -> Iterator[Mutant]:
    """Yield every mutant of the modules."""
    for module in modules:
        tree = _parsed(module)
        for change in changes(tree):
            yield Mutant(module, f"{module}.{change}", ast.unparse(tree))


def all_names(modules: Iterable[str] = MODULES) -> list[str]:
    """Return the name of every mutant, without making their sources."""
    return [f"{module}.{change}" for module in modules for change in changes(_parsed(module))]


def _parsed(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def listed_survivors() -> dict[str, str]:
    """Return the mutants that are known to survive, and why each makes no difference."""
    with SURVIVORS.open("rb") as file:
        return {each["mutant"]: each["reason"] for each in tomllib.load(file)["survivor"]}


def run(options: argparse.Namespace) -> bool:
    """Try the mutants; print each that survives, and what remains to be said of it."""
    chosen = list(all_mutants(options.module or MODULES))
    if options.limit is not None:
        chosen = chosen[:: max(1, len(chosen) // options.limit)][: options.limit]
    start = perf_counter()
    baseline = _try(UNCHANGED, limit=600.0)
    if baseline.killed:
        print("mutants: the tests fail without any change")
        return False
    limit = baseline.seconds * PATIENCE
    print(f"mutants: {len(chosen)} to try; the tests take {baseline.seconds:.1f} s")
    with ThreadPoolExecutor(options.jobs) as pool:
        tries = [pool.submit(_try, mutant, limit=limit) for mutant in chosen]
        verdicts = []
        for each in tries:
            verdicts.append(each.result())
            if not verdicts[-1].killed:
                print(f"survives: {verdicts[-1].mutant.name}", flush=True)
            if len(verdicts) % 25 == 0:
                print(f"{perf_counter() - start:5.0f} s  {len(verdicts)} tried", flush=True)
    return _summary(verdicts, perf_counter() - start)


def _summary(verdicts: list[Verdict], seconds: float) -> bool:
    listed = listed_survivors()
    names = {verdict.mutant.name: verdict.killed for verdict in verdicts}
    survivors = [name for name, killed in names.items() if not killed]
    share = 1 - len(survivors) / len(names)
    unlisted = [name for name in survivors if name not in listed]
    stale = [name for name in listed if names.get(name, False)]
    print(
        f"mutants: {len(names) - len(survivors)} of {len(names)} killed, {share:.1%} "
        f"({seconds:.0f} s); {len(survivors) - len(unlisted)} survivors are listed"
    )
    for name in unlisted:
        print(f"not listed in {SURVIVORS.name}: {name}")
    for name in stale:
        print(f"listed in {SURVIVORS.name}, but killed: {name}")
    return not unlisted and not stale and share >= GOAL


def _try(mutant: Mutant, *, limit: float) -> Verdict:
    """Run the tests against a mutant, in processes of its own."""
    start = perf_counter()
    with tempfile.TemporaryDirectory(prefix="anyflight-mutant-") as folder:
        shutil.copytree(PACKAGE, Path(folder) / PACKAGE.name)
        if mutant is not UNCHANGED:
            changed = Path(folder) / PACKAGE.name / f"{mutant.module}.py"
            changed.write_text(mutant.source, encoding="utf-8")
        passed = all(_passes(Path(folder), tests, limit) for tests in (FIRST, TESTS))
    return Verdict(mutant, not passed, perf_counter() - start)


def _passes(folder: Path, tests: tuple[str, ...], limit: float) -> bool:
    # Before all installed packages, the package itself among them.
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    pytest += ["-p", "proof.unshrunk", "--hypothesis-profile", "unshrunk"]
    try:
        done = subprocess.run(
            [*pytest, "-k", ONLY, *tests],
            check=False,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
