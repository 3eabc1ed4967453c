"""The table: the published figures beside those of each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from demo.strategies import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.summary import Figures
    from demo.theory import FetchRate


class Row(NamedTuple):
    """One line of the table; the published figures are those of the text that the demo follows."""

    name: str
    published: str
    runs: tuple[str, ...]
    """One cell for each run."""


def rows_of(runs: Sequence[Figures]) -> tuple[Row, ...]:
    """Return the table's lines; the first run is what the others are compared with."""
    queries = [run.queries_per_second for run in runs]
    p99 = [run.p99_ms for run in runs]
    pool = [100 * run.pool_utilisation for run in runs]
    return (
        _row("Queries/s at peak", queries, published="2,400 → 180"),
        _factors(queries),
        _row("Rows per query", [run.rows_per_query for run in runs]),
        _row("P50 latency, ms", [run.p50_ms for run in runs]),
        _row("P95 latency, ms", [run.p95_ms for run in runs]),
        _row("P99 latency, ms", p99, published="450 → 35"),
        _factors(p99),
        _row("Pool in use, %", pool, published="95 → 25"),
        _factors(pool),
        Row("Errors, %", "", tuple(f"{100 * run.error_rate:.2f}" for run in runs)),
        *_fetches("Popular", [run.popular for run in runs]),
        *_fetches("Others", [run.others for run in runs]),
    )


def _row(name: str, values: Sequence[float], *, published: str = "") -> Row:
    return Row(name, published, tuple(number(value) for value in values))


def _factors(values: Sequence[float]) -> Row:
    """Say how many times the first value is each of the others."""
    first, *others = values
    return Row("  factor", "", ("", *(number(first / other) if other else "-" for other in others)))


def _fetches(name: str, fetches: Sequence[FetchRate]) -> tuple[Row, ...]:
    return (
        _row(f"{name}, fetches/s", [each.per_second for each in fetches]),
        _row("  in theory", [each.theory_per_second for each in fetches]),
    )


def number(value: float) -> str:
    """Show a number as exactly as it deserves."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004


def as_markdown(runs: Sequence[Figures]) -> str:
    """Return the table as the documentation has it."""
    headings = ("during the spike", "published", *(each.title.lower() for each in STRATEGIES))
    lines = [headings, ("---", *["--:"] * (len(headings) - 1))]
    lines += [(row.name.strip(), row.published, *row.runs) for row in rows_of(runs)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
