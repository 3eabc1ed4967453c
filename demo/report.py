"""What is shown: the table and the lines around it; and the files that are not pictures."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from demo.strategies import STRATEGIES
from demo.table import as_markdown, number, rows_of
from demo.traffic import CALM_SHARE
from examples.user_service.cached_service import CACHE_TTL
from examples.user_service.user_query import USER_QUERY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console

    from demo.options import Options
    from demo.summary import Comparison


def show_introduction(console: Console, options: Options) -> None:
    """Say what will be measured, and what stands for what."""
    calm = CALM_SHARE * options.rate
    _print(
        console,
        f"Traffic: {calm:,.0f} requests/s, then {options.rate:,.0f} requests/s for "
        f"{options.seconds:g} s with {options.hot:.0%} for one profile, then {calm:,.0f} again.",
        f"Query: {USER_QUERY}; batched: = ANY($1). The server delays it by "
        f"{options.query_ms:g} ms, which stands for a slow query, and on average by "
        f"{options.row_ms:g} ms more for each row. The service has {options.pool} connections.",
        "The service is called in process: there is no HTTP in between.",
    )


def show(console: Console, comparison: Comparison) -> None:
    """Print the table and what it takes to judge it."""
    runs, facts = comparison.runs, comparison.environment
    table = Table(title="During the spike", title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    table.padding = (0, 0, 0, 1)
    table.add_column("")
    table.add_column("Published", justify="right")
    for strategy in STRATEGIES:
        table.add_column(strategy.title.replace(" ", "\n", 1), justify="right")
    for row in rows_of(list(runs.values())):
        table.add_row(row.name, row.published, *row.runs)
    console.print(table)
    _print(
        console,
        "Queries/s are those that the spike's requests caused, per second of the spike, as counted "
        "by the server (pg_stat_statements). Latency counts from the intended arrival; the load "
        "generator's own delay is part of it: in the order of the runs "
        f"{_listed(run.lag_p99_ms for run in runs.values())} ms (P99).",
        "A fetch is the row of one user, asked for alone or in a batch. In theory a profile for "
        "which L requests a second arrive is fetched L / (1 + L·(S + T)) times a second, if a "
        f"fetch takes S and is remembered for T: {CACHE_TTL:g} s if cached, else 0. Without "
        "coalescing it is fetched L times. S of the popular one: "
        f"{_listed(run.popular.mean_ms for run in runs.values())} ms.",
        "Every answer was checked against its row, and the server's counts against the client's.",
        f"{facts.python}, anyio {facts.anyio} on {facts.backend}, {facts.driver}, "
        f"PostgreSQL {facts.postgresql}, {facts.cpu_count} CPUs.",
    )


def _listed(values: Iterable[float]) -> str:
    return ", ".join(number(value) for value in values)


def _print(console: Console, *paragraphs: str) -> None:
    """Print each paragraph as it is, wrapped to the console's width."""
    for paragraph in paragraphs:
        console.print(paragraph, highlight=False, markup=False)


def write_figures(comparison: Comparison, folder: Path) -> tuple[Path, Path]:
    """Write all figures, options and facts as JSON, and the table as Markdown; return the paths."""
    document, table = folder / "impact.json", folder / "impact.md"
    document.write_text(json.dumps(as_document(comparison), indent=2) + "\n", encoding="utf-8")
    table.write_text(as_markdown(list(comparison.runs.values())), encoding="utf-8")
    return document, table


def as_document(comparison: Comparison) -> dict[str, Any]:
    """Return what the JSON file holds; the output folder is left out, it says nothing."""
    options = asdict(comparison.options)
    del options["output"]
    trace = comparison.trace
    return {
        "options": options,
        "environment": asdict(comparison.environment),
        "trace": {
            "arrivals": len(trace.arrivals),
            "spike_start": trace.spike_start,
            "spike_end": trace.spike_end,
            "end": trace.end,
        },
        "runs": {name: asdict(figures) for name, figures in comparison.runs.items()},
    }
