"""The picture: latency and queries through time, of each run, and its figures beside them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from demo.strategies import STRATEGIES
from demo.table import number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from demo.figures import Point
    from demo.summary import Comparison

# Four of Okabe and Ito: told apart with every kind of colour vision.
COLOURS = {"direct": "#d55e00", "coalesced": "#0072b2", "batched": "#009e73", "cached": "#cc79a7"}
TRAFFIC = "#767676"
INK = "#222222"
SHADE = "#f4efe2"
DASHES = (0, (4, 2))

# Any: matplotlib types the keys as one long list of literals.
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the picture looks the same everywhere
    "font.size": 12,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 2.4,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "anyflight",  # equal figures give an equal file
}


def draw(comparison: Comparison, folder: Path) -> tuple[Path, Path]:
    """Write `impact.png` and `impact.svg` into `folder`; return their paths."""
    png, svg = folder / "impact.png", folder / "impact.svg"
    with mpl.rc_context(STYLE):
        figure = compose(comparison)
        figure.savefig(png, dpi=200)  # 1800 pixels wide: sharp where 900 are shown
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def compose(comparison: Comparison) -> Figure:
    """Compose the figure."""
    with mpl.rc_context(STYLE):
        # A Figure of its own instead of pyplot: no global state, no window, no display needed.
        figure = Figure(figsize=(9, 6), facecolor="white")
        grid = figure.add_gridspec(
            2, 1, left=0.112, right=0.735, top=0.775, bottom=0.095, hspace=0.16
        )
        latency = figure.add_subplot(grid[0])
        queries = figure.add_subplot(grid[1], sharex=latency)
        _draw_latency(latency, comparison)
        _draw_queries(queries, comparison)
        figure.align_ylabels((latency, queries))
        _label_spike(latency, comparison)
        _write_heading(figure, comparison)
    return figure


def _draw_latency(axes: Axes, comparison: Comparison) -> None:
    _shade_spike(axes, comparison)
    for name, run in comparison.runs.items():
        _line(axes, run.p99_series_ms, COLOURS[name])
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    values = [point.value for run in comparison.runs.values() for point in run.p99_series_ms]
    # Half as much to twice as much: at least two of the labels 1, 3, 10, 30... stand at the axis.
    axes.set_ylim(min(values) / 2, max(values) * 2)
    axes.set_ylabel("P99 latency, ms")
    axes.tick_params(labelbottom=False, length=0)
    _list(
        axes,
        "P99 in the spike, ms",
        [
            Entry(strategy.short, comparison.runs[strategy.name].p99_ms, COLOURS[strategy.name])
            for strategy in STRATEGIES
        ],
    )


def _draw_queries(axes: Axes, comparison: Comparison) -> None:
    _shade_spike(axes, comparison)
    trace, runs = comparison.trace, comparison.runs
    for name, run in runs.items():
        _line(axes, run.queries_series, COLOURS[name])
    parts = trace.mean_rates()
    axes.stairs(
        [rate for _, _, rate in parts],
        [0.0, *(end for _, end, _ in parts)],
        baseline=None,
        color=TRAFFIC,
        linewidth=1.4,
        linestyle=DASHES,
        zorder=1.5,  # behind the lines
    )
    axes.set_ylim(0)
    # A backlog may take longer than the trace.
    readings = [point.at for run in runs.values() for point in run.queries_series]
    axes.set_xlim(0, max([trace.end, *readings]))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_ylabel("Database queries/s")
    axes.set_xlabel("Time, s")
    axes.tick_params(length=0)
    spike_rate = (
        len([each for each in trace.arrivals if each.part == "spike"]) / trace.spike_seconds
    )
    _list(
        axes,
        "Queries/s of the spike",
        [
            *(
                Entry(each.short, runs[each.name].queries_per_second, COLOURS[each.name])
                for each in STRATEGIES
            ),
            Entry("requests", spike_rate, TRAFFIC, dashed=True),
        ],
    )


def _shade_spike(axes: Axes, comparison: Comparison) -> None:
    axes.axvspan(
        comparison.trace.spike_start, comparison.trace.spike_end, color=SHADE, linewidth=0, zorder=0
    )


def _label_spike(axes: Axes, comparison: Comparison) -> None:
    """Write above the shade, where no line can be."""
    trace, options = comparison.trace, comparison.options
    axes.annotate(
        f"spike: {options.rate:,.0f} requests/s, {options.hot:.0%} for one profile",
        ((trace.spike_start + trace.spike_end) / 2, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 4),
        textcoords="offset points",
        horizontalalignment="center",
        verticalalignment="bottom",
        fontsize=11,
        color="#6b5a2a",
    )


def _line(axes: Axes, points: Sequence[Point], colour: str) -> None:
    axes.plot([point.at for point in points], [point.value for point in points], color=colour)


class Entry(NamedTuple):
    """A line of a panel: what it is, and its figure for the whole spike."""

    name: str
    value: float
    colour: str
    dashed: bool = False


def _list(axes: Axes, heading: str, entries: Sequence[Entry]) -> None:
    """Write the figures beside a panel: a legend that says how much."""
    left, top = 1.03, 1.0  # of the panel's size
    step = 0.125
    write = partial(axes.text, transform=axes.transAxes, verticalalignment="top", fontsize=11)
    write(left, top, heading, color="#555555")
    for position, entry in enumerate(entries, start=1):
        y = top - 0.03 - position * step
        axes.plot(
            (left, left + 0.045),
            (y - 0.045, y - 0.045),
            transform=axes.transAxes,
            color=entry.colour,
            linewidth=1.4 if entry.dashed else 2.4,
            linestyle=DASHES if entry.dashed else "-",
            clip_on=False,
        )
        write(left + 0.065, y, entry.name)
        write(1.395, y, number(entry.value), horizontalalignment="right")


def _write_heading(figure: Figure, comparison: Comparison) -> None:
    """Write title and conditions above the panels, where they cover nothing."""
    before, *_ = (run.queries_per_second for run in comparison.runs.values())
    after = [f"{run.queries_per_second:,.0f} {name}" for name, run in comparison.runs.items()][1:]
    options, facts = comparison.options, comparison.environment
    figure.text(
        0.02,
        0.975,
        f"Queries/s: {before:,.0f} → {', '.join(after)}",
        fontsize=16,
        fontweight="bold",
        verticalalignment="top",
    )
    figure.text(
        0.02,
        0.92,
        "Queries that the spike's requests caused, per second of the spike; P99 of its requests.\n"
        f"Query of {options.query_ms:g} ms, {options.pool} connections, "
        f"PostgreSQL {facts.postgresql}, {facts.driver} on {facts.backend}.",
        fontsize=11,
        color="#555555",
        verticalalignment="top",
        linespacing=1.35,
    )
