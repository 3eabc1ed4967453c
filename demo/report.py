"""What is shown: the table beside the published figures, the lines around it, and the JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table

from demo.traffic import CALM_SHARE
from examples.user_service.user_query import USER_QUERY

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from demo.options import Options
    from demo.summary import Comparison, Figures


class Row(NamedTuple):
    """One line of the table; the published figures are those of the text that the demo follows."""

    name: str
    published: str
    before: str
    after: str
    factor: str


def rows_of(before: Figures, after: Figures) -> tuple[Row, ...]:
    """Return the table's lines."""
    return (
        Row(
            "Queries/s at peak",
            "2,400 → 180",
            f"{before.queries_per_second:,.0f}",
            f"{after.queries_per_second:,.0f}",
            factor(before.queries_per_second, after.queries_per_second),
        ),
        _latency_row("P50 latency", "", before.p50_ms, after.p50_ms),
        _latency_row("P95 latency", "", before.p95_ms, after.p95_ms),
        _latency_row("P99 latency", "450 → 35 ms", before.p99_ms, after.p99_ms),
        Row(
            "Connection pool in use",
            "95 → 25 %",
            f"{before.pool_utilisation:.0%}",
            f"{after.pool_utilisation:.0%}",
            factor(before.pool_utilisation, after.pool_utilisation),
        ),
        Row("Error rate", "", f"{before.error_rate:.2%}", f"{after.error_rate:.2%}", ""),
    )


def factor(before: float, after: float) -> str:
    """Say how many times `before` is `after`."""
    return f"{before / after:,.1f}" if after > 0 else "-"


def _latency_row(name: str, published: str, before: float, after: float) -> Row:
    return Row(name, published, f"{before:,.0f} ms", f"{after:,.0f} ms", factor(before, after))


def show_introduction(console: Console, options: Options) -> None:
    """Say what will be measured, and what stands for what."""
    calm = CALM_SHARE * options.rate
    _print(
        console,
        f"Traffic: {calm:,.0f} requests/s, then {options.rate:,.0f} requests/s for "
        f"{options.seconds:g} s with {options.hot:.0%} for one profile, then {calm:,.0f} again.",
        f"Query: {USER_QUERY}. The server delays it by {options.query_ms:g} ms, which stands for a "
        f"slow query. The service has {options.pool} connections.",
        "The service is called in process: there is no HTTP in between.",
    )


def show(console: Console, comparison: Comparison) -> None:
    """Print the table and what it takes to judge it."""
    before, after, facts = comparison.before, comparison.after, comparison.environment
    table = Table(title="During the spike", title_justify="left")
    table.add_column("")
    for heading in ("Published", "Without", "With coalescing", "Factor"):
        table.add_column(heading, justify="right")
    for row in rows_of(before, after):
        table.add_row(*row)
    console.print(table)
    hot = after.hot_key
    _print(
        console,
        f"Popular profile: {hot.arrivals_per_second:,.0f} requests/s (L), queries of "
        f"{hot.mean_execution_ms:.1f} ms (S). Theory, L / (1 + L·S): {hot.theory_per_second:.1f} "
        f"queries/s. Measured: {hot.executions_per_second:.1f}.",
        "Queries/s are those that the spike's requests caused, per second of the spike, as counted "
        "by the server (pg_stat_statements). Latency counts from the intended arrival; the load "
        f"generator's own delay is part of it: {before.lag_p99_ms:.1f} ms without and "
        f"{after.lag_p99_ms:.1f} ms with coalescing (P99).",
        "Every answer was checked against its row.",
        f"{facts.python}, anyio {facts.anyio} on {facts.backend}, {facts.driver}, "
        f"PostgreSQL {facts.postgresql}, {facts.cpu_count} CPUs.",
    )


def _print(console: Console, *paragraphs: str) -> None:
    """Print each paragraph as it is, wrapped to the console's width."""
    for paragraph in paragraphs:
        console.print(paragraph, highlight=False, markup=False)


def write_json(comparison: Comparison, path: Path) -> None:
    """Write all figures, options and facts to `path`."""
    path.write_text(json.dumps(as_document(comparison), indent=2) + "\n", encoding="utf-8")


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
        "before": asdict(comparison.before),
        "after": asdict(comparison.after),
    }
