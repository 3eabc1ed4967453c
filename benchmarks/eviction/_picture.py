"""The picture: hit ratio by size, a panel for each trace."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks._style import GREY, STYLE
from benchmarks.eviction._document import Document
from benchmarks.eviction.contestants import LRU, OURS
from benchmarks.eviction.hit_ratios import Cell

COLUMNS = 3
# Of Okabe and Ito: told apart with every kind of colour vision.
LINES = {
    OURS.name: ("#0072b2", "o-", 2.4),
    LRU.name: ("#d55e00", "s-", 1.6),
    "cachetools LFU": ("#009e73", "v-", 1.6),
    "theine W-TinyLFU": ("#cc79a7", "D-", 1.6),
}


def draw(document: Document, folder: Path) -> tuple[Path, Path]:
    """Write `eviction.png` and `eviction.svg` into `folder`; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / "eviction.png", folder / "eviction.svg"
    with mpl.rc_context(STYLE):
        figure = compose(document)
        figure.savefig(png, dpi=150)
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def compose(document: Document) -> Figure:
    """Compose the figure; the heading says what is seen, in figures of the document."""
    traces = list(dict.fromkeys(cell.trace for cell in document.cells))
    rows = -(-len(traces) // COLUMNS)
    figure = Figure(figsize=(9, 2.4 * rows + 1.6), facecolor="white")
    grid = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    top = 1 - 1.35 / figure.get_figheight()
    figure.subplots_adjust(left=0.08, right=0.98, top=top, bottom=0.075, hspace=0.25, wspace=0.1)
    for panel, trace in zip(grid.flat, traces, strict=False):
        _panel(panel, trace, [cell for cell in document.cells if cell.trace == trace])
    for row in grid:
        row[0].set_ylabel("hit ratio, %")
    for panel in grid[-1]:
        panel.set_xlabel("entries")
    _heading(figure, grid[0, 0], document)
    return figure


def _panel(axes: Axes, trace: str, cells: list[Cell]) -> None:
    sizes = [cell.size for cell in cells]
    best = [100 * mean(cell.optimum) for cell in cells]
    axes.plot(sizes, best, "--", color="#777777", linewidth=1.4, label="optimum")
    for name, (colour, style, width) in LINES.items():
        ratios = [100 * cell.mean(name) for cell in cells]
        axes.plot(sizes, ratios, style, color=colour, linewidth=width, label=name, markersize=4)
    axes.set_title(trace, fontsize=11)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{size:,}" for size in sizes])
    axes.margins(x=0.12)  # room for the outermost sizes, beside those of the next panel
    axes.set_ylim(0, 100)


def _heading(figure: Figure, axes: Axes, document: Document) -> None:
    height = figure.get_figheight()
    ours, lru = (100 * document.mean(name) for name in (OURS.name, LRU.name))
    title = f"On average {OURS.name} answers {ours:.0f} % of the requests, LRU {lru:.0f} %"
    figure.text(
        0.02, 1 - 0.1 / height, title, fontsize=15, fontweight="bold", verticalalignment="top"
    )
    figure.text(
        0.02,
        1 - 0.42 / height,
        "The optimum knows the future. The means are over all panels and sizes.",
        fontsize=10.5,
        color=GREY,
        verticalalignment="top",
    )
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="upper left",
        bbox_to_anchor=(0.015, 1 - 0.6 / height),
        ncols=len(LINES) + 1,
        frameon=False,
        fontsize=10,
        borderpad=0,
        columnspacing=1.5,
    )
