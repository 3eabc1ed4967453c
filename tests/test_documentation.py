"""The code blocks of README, docs and docstrings are collected in conftest.py; here is the rest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]*)", page.read_text(encoding="utf-8")):
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
