"""What is printed, and the files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from demo.options import Options
from demo.progress import stage
from demo.report import show, show_introduction, write_figures
from tests.demo.samples import comparison


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_the_table_fits_in_80_columns() -> None:
    console = Console(file=io.StringIO(), width=80)
    show(console, comparison())
    text = printed(console)
    for name in ("Popular, fetches/s", "P99 latency, ms", "2,400 → 180", "and batched"):
        assert name in text


def test_the_introduction_says_what_stands_for_what(console: Console) -> None:
    show_introduction(console, Options())
    text = printed(console)
    assert "200 requests/s, then 2,400 requests/s for 5 s with 95% for one profile" in text
    assert "SELECT id, name, email, created_at FROM users WHERE id = $1; batched" in text
    assert "15 ms, which stands for a slow query, and on average by 0.3 ms more for each" in text
    assert "no HTTP" in text


def test_what_is_shown_holds_theory_and_versions(console: Console) -> None:
    show(console, comparison())
    text = printed(console)
    assert "54.1" in text
    assert "S of the popular one: 16.0, 16.0" in text
    assert "anyio 4.14.0 on asyncio, asyncpg 0.30.0, PostgreSQL 18.1, 2 CPUs" in text


def test_the_document_holds_all_and_names_no_folder(tmp_path: Path) -> None:
    path, _ = write_figures(comparison(), tmp_path)
    document = json.loads(path.read_text())
    assert document["options"]["rate"] == 480
    assert "output" not in document["options"]
    assert document["trace"]["spike_start"] == 0.4
    assert document["runs"]["direct"]["queries_per_second"] == 768
    assert document["runs"]["coalesced"]["popular"]["theory_per_second"] == 54.1
    assert document["runs"]["direct"]["p99_series_ms"][0] == [0.25, 512]


def test_without_a_terminal_a_stage_is_one_line(console: Console) -> None:
    with stage(console, "Measuring", seconds=11) as progress:
        progress(5)
    assert printed(console) == "Measuring (about 11 s)\n"


@pytest.mark.parametrize("seconds", [None, 11])
def test_on_a_terminal_a_stage_is_a_bar_that_ends_full(seconds: float | None) -> None:
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with stage(terminal, "Measuring", seconds=seconds) as progress:
        progress(5)
        progress(20)
    last = printed(terminal).split("Measuring")[-1]
    assert "━" * 40 in last
