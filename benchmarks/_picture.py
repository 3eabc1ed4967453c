"""The picture: cost and memory of a call by the number of calls in flight."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks import scale
from benchmarks._document import Document
from benchmarks._style import GREY, STYLE
from benchmarks._tables import NAMES

# Of Okabe and Ito: told apart with every kind of colour vision, and in grey.
COLOURS = {"asyncio": "#0072b2", "uvloop": "#009e73", "trio": "#d55e00"}
EACH: dict[scale.Kind, str] = {"keys": "key in flight", "waiters": "waiter"}


def draw(document: Document, folder: Path) -> tuple[Path, Path]:
    """Write `scale.png` and `scale.svg` into `folder`; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / "scale.png", folder / "scale.svg"
    with mpl.rc_context(STYLE):
        figure = compose(document)
        figure.savefig(png, dpi=200)
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def compose(document: Document) -> Figure:
    """Compose the figure: a column for keys, one for waiters; cost above, memory below."""
    with mpl.rc_context(STYLE):
        # A Figure of its own instead of pyplot: no global state, no window, no display needed.
        figure = Figure(figsize=(9, 7), facecolor="white")
        grid = figure.subplots(2, 2, sharex=True, sharey="row", squeeze=False)
        figure.subplots_adjust(
            left=0.09, right=0.98, top=0.775, bottom=0.08, hspace=0.14, wspace=0.08
        )
        for column, kind in enumerate(scale.KINDS):
            _lines(grid[0, column], document, scale.COST[kind], scale.OFF)
            _lines(grid[1, column], document, scale.MEMORY[kind], "")
            grid[0, column].set_title(f"one more {EACH[kind]}", fontsize=11)
            grid[1, column].set_xlabel("calls in flight")
        _scales(grid[0, 0], grid[1, 0])
        _heading(figure, grid[0, 0], _title(document))
    return figure


def _lines(axes: Axes, document: Document, label: str, collector: str) -> None:
    for backend in document.backends:
        results = [each for each in document.of("scale", backend) if each.label == label]
        for who, style in ((scale.OURS, "o-"), (scale.FLOOR, "--")):
            name = who + collector
            found = [each for each in results if name in each.samples]
            axes.plot(
                [each.size for each in found],
                [each.figure(name).median for each in found],
                style,
                color=COLOURS[backend],
                linewidth=2 if who == scale.OURS else 1.4,
                label=f"{NAMES[backend]}, {who}",
            )


def _scales(cost: Axes, memory: Axes) -> None:
    cost.set_xscale("log")
    cost.xaxis.set_major_locator(LogLocator(numticks=12))
    cost.xaxis.set_minor_locator(NullLocator())
    cost.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    for axes, name in ((cost, "µs per call"), (memory, "bytes per call")):
        axes.set_ylim(0)
        axes.set_ylabel(name)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    cost.figure.align_ylabels()


def _short(number: float) -> str:
    """Write a power of ten."""
    for unit, sign in ((1_000_000, "M"), (1_000, "k")):
        if number >= unit:
            return f"{number / unit:.0f}{sign}"
    return f"{number:.0f}"


def _title(document: Document) -> str:
    """Say what is seen: the two ends of the longest curve."""
    costs = [each for each in document.of("scale") if each.label == scale.COST["keys"]]
    backend = max(costs, key=lambda each: each.size).backend
    first, *_, last = (each for each in costs if each.backend == backend)
    one, other = (each.figure(scale.OURS + scale.OFF).median for each in (first, last))
    return (
        f"{NAMES[backend]}: a call costs {one:.0f} µs with {first.size:,} keys in flight, "
        f"{other:.0f} µs with {last.size:,}"
    )


def _heading(figure: Figure, axes: Axes, title: str) -> None:
    figure.text(
        0.02,
        0.98,
        title,
        fontsize=15,
        fontweight="bold",
        verticalalignment="top",
    )
    figure.text(
        0.02,
        0.937,
        "Garbage collector off. The floor of a key is a bare task and its end, that of a waiter a "
        "bare event;\nall lines contain the callers' own tasks.",
        fontsize=10.5,
        color=GREY,
        verticalalignment="top",
    )
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="upper left",
        bbox_to_anchor=(0.015, 0.887),
        ncols=3,
        frameon=False,
        fontsize=10,
        borderpad=0,
        columnspacing=2,
    )
