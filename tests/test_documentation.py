"""The code blocks of README, docs and docstrings are collected in conftest.py; here is the rest."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.test_architecture import FLOORS

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:)([^)#]*)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_first_example_prints_what_the_readme_says(backend: str) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    example = page.partition("```python\n")[2].partition("```")[0]
    example = example.replace("anyio.run(main)", f'anyio.run(main, backend="{backend}")')
    run = subprocess.run(
        [sys.executable, "-c", example], check=True, capture_output=True, text=True
    )
    assert f"It prints `{run.stdout.strip()}`" in page


def test_every_law_has_a_test_that_names_it() -> None:
    page = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    laws = {int(number) for number in re.findall(r"^\*\*(\d+)\. ", page, re.MULTILINE)}
    assert laws == set(range(1, 17))
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert laws <= {int(number) for number in re.findall(r"def test_law_(\d+)_", tests)}


def test_the_floors_that_are_told_are_those_that_are_enforced() -> None:
    page = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    told: dict[str, tuple[int, int]] = {}
    for line in re.findall(r"^\S+\.py.* floor \d+$|^\w+/ .* floors? [\d to]+$", page, re.MULTILINE):
        names, *_, floors = re.split(r" {2,}", line)
        numbers = [int(number) for number in re.findall(r"\d+", floors)]
        for name in names.split(", "):
            module = name.removesuffix(".py").removesuffix("/").replace("/", ".")
            told[module] = (numbers[0], numbers[-1])
    for package in ("cache", "lease", "instrumentation"):
        low, high = told.pop(package)
        inside = {name for name in FLOORS if name.partition(".")[0] == package} - set(told)
        assert (low, high) == (min(FLOORS[name] for name in inside), FLOORS[package])
        told |= {name: (FLOORS[name], FLOORS[name]) for name in inside}
    assert told == {name: (floor, floor) for name, floor in FLOORS.items()}


def test_the_table_of_what_a_lease_saves_is_what_its_formulas_say() -> None:
    page = (ROOT / "docs" / "lease.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(from math import exp\n.*?)```", page, re.DOTALL)
    assert program is not None
    names: dict[str, Any] = {}
    exec(program[1], names)
    number = r"([\d.]+)"
    row = rf"^\| {number} \| (\d+) \| {number} \| {number} \| (\d+) % \| {number} \|$"
    rows = re.findall(row, page, re.MULTILINE)
    assert len(rows) == 12
    for here, processes, *cells in rows:
        everywhere = float(here) * int(processes)
        without, shared, requests = names["lease_pays"](everywhere, 1, int(processes))
        saved = without - shared
        assert cells == [
            f"{without:.3g}",
            f"{shared:.3g}",
            f"{100 * saved / without:.0f}",
            f"{float(f'{requests / saved:.2g}'):g}",
        ]


POLICIES = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8").partition("## Together")[2]
SECTION = re.compile(r"^### `(\w+)`$(.*?)(?=^###)", re.MULTILINE | re.DOTALL)
TOUCHING = {
    frozenset((name, other))
    for name, rows in SECTION.findall(POLICIES)
    for other in re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)
}
NOT_TOUCHING = {
    frozenset((name, other))
    for name, others in re.findall(r"^- `(\w+)` and (.*(?:\n  .*)*)", POLICIES, re.MULTILINE)
    for other in re.findall(r"`(\w+)`", others)
}


def test_every_test_that_the_tables_of_policies_name_exists() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", POLICIES))
    assert len(named) > len(SECTION.findall(POLICIES))
    assert named <= set(re.findall(r"def (test_\w+)\(", tests))


def test_every_row_of_the_tables_of_policies_names_a_test() -> None:
    rows = re.findall(r"^\| `.*", POLICIES, re.MULTILINE)
    assert len(rows) == len(TOUCHING)
    assert [row for row in rows if "`test_" not in row] == []


def test_the_tables_of_policies_speak_of_every_pair_once() -> None:
    names = {name for pair in TOUCHING for name in pair}
    assert names >= {"retry_on", "limiter", "max_waiters", "flight_timeout", "max_join_age"}
    assert names >= {"fresh", "forget", "on_abandon", "copy", "timeout", "closing", "abortion"}
    assert TOUCHING | NOT_TOUCHING == {frozenset(pair) for pair in combinations(names, 2)}
    assert TOUCHING & NOT_TOUCHING == set()
