"""The table of all runs beside the published figures."""

from __future__ import annotations

from dataclasses import replace

from demo.table import as_markdown, rows_of
from tests.demo.samples import comparison


def test_the_table_has_the_published_figures_beside_all_runs() -> None:
    runs = list(comparison().runs.values())[:2]
    assert [tuple(row) for row in rows_of(runs)] == [
        ("Queries/s at peak", "2,400 → 180", ("768", "384")),
        ("  factor", "", ("", "2.0")),
        ("Rows per query", "", ("1.5", "1.5")),
        ("P50 latency, ms", "", ("256", "128")),
        ("P95 latency, ms", "", ("480", "240")),
        ("P99 latency, ms", "450 → 35", ("512", "256")),
        ("  factor", "", ("", "2.0")),
        ("Pool in use, %", "95 → 25", ("96.0", "48.0")),
        ("  factor", "", ("", "2.0")),
        ("Errors, %", "", ("0.25", "0.25")),
        ("Popular, fetches/s", "", ("54.3", "54.3")),
        ("  in theory", "", ("54.1", "54.1")),
        ("Others, fetches/s", "", ("78.9", "78.9")),
        ("  in theory", "", ("79.2", "79.2")),
    ]


def test_nothing_has_no_factor() -> None:
    run = next(iter(comparison().runs.values()))
    assert rows_of([run, replace(run, queries_per_second=0)])[1].runs == ("", "-")


def test_the_documentation_has_the_same_table() -> None:
    runs = list(comparison().runs.values())
    heading, line, first, *others = as_markdown(runs).splitlines()
    assert heading.startswith("| during the spike | published | without coalescing | coalesced |")
    assert line == "| --- | --: | --: | --: | --: | --: |"
    assert first == "| Queries/s at peak | 2,400 → 180 | 768 | 384 | 192 | 96.0 |"
    assert len(others) == len(rows_of(runs)) - 1
