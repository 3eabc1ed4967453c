"""The picture: what the number of processes changes, a panel for each figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from demo.picture import DASHES, INK, STYLE
from demo.table import number
from fleet.cell import Cell
from fleet.document import Document
from fleet.strategies import LEASE, LEASE_AND_CACHE, LOCAL, STRATEGIES

Value: TypeAlias = Callable[[Cell], float]

# Of Okabe and Ito: told apart with every kind of colour vision; and by their marks in grey.
LINES = {
    LOCAL.name: ("#d55e00", "s-"),
    LEASE.name: ("#0072b2", "o-"),
    LEASE_AND_CACHE.name: ("#56b4e9", "o--"),
    "aiocache": ("#009e73", "^-"),
    "cashews": ("#e69f00", "D-"),
    "cashews lock=True": ("#e69f00", "d:"),
    "dogpile.cache": ("#cc79a7", "v-"),
}
GREY = "#555555"


def draw(document: Document, folder: Path) -> tuple[Path, Path]:
    """Write `fleet.png` and `fleet.svg` into `folder`; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / "fleet.png", folder / "fleet.svg"
    with mpl.rc_context(STYLE):
        figure = compose(document)
        figure.savefig(png, dpi=200)  # 1800 pixels wide: sharp where 900 are shown
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def compose(document: Document) -> Figure:
    """Compose the figure."""
    plan = document.plan
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 7.4), facecolor="white")
        grid = figure.subplots(2, 2, sharex=True)
        figure.subplots_adjust(
            left=0.075, right=0.98, top=0.765, bottom=0.075, hspace=0.22, wspace=0.17
        )
        (rate, executions), (commands, latency) = grid
        _panel(
            rate,
            document,
            "Popular profile: queries/s",
            lambda cell: cell.traffic.popular.per_second,
        )
        _theory(rate, document)
        rate.set_ylim(0)
        _panel(
            executions,
            document,
            f"Burst of {plan.burst_calls} calls: executions",
            lambda cell: fmean(cell.bursts.executions),
        )
        _panel(
            commands,
            document,
            "Traffic: Valkey commands/s",
            lambda cell: cell.traffic.sent_per_second,
        )
        _panel(
            latency,
            document,
            "Burst: P99 of a call, ms",
            lambda cell: cell.bursts.load.p99_ms,
        )
        for axes in (executions, commands, latency):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=20))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axes.yaxis.set_minor_locator(NullLocator())
        for axes in (commands, latency):
            axes.set_xlabel("processes")
        _heading(figure, rate, document)
    return figure


def _panel(axes: Axes, document: Document, title: str, value: Value) -> None:
    for strategy in STRATEGIES:
        cells = [cell for cell in document.of(strategy.name) if value(cell) > 0]
        colour, style = LINES[strategy.name]
        ours = strategy.name == LEASE.name
        axes.plot(
            [cell.processes for cell in cells],
            [value(cell) for cell in cells],
            style,
            markersize=6 if ours else 5,
            color=colour,
            linewidth=2.4 if ours else 1.5,
            label=strategy.name,
            zorder=3 if ours else 2,
        )
    processes = document.plan.processes
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(processes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_title(title, loc="left", fontsize=11.5, color=INK)
    axes.tick_params(length=0)


def _theory(axes: Axes, document: Document) -> None:
    """Draw what theory says of those that keep nothing, of the rates and times of each cell."""
    for strategy in (LOCAL, LEASE):
        cells = list(document.of(strategy.name))
        axes.plot(
            [cell.processes for cell in cells],
            [cell.traffic.popular.theory_per_second for cell in cells],
            color="#767676",
            linewidth=1.2,
            linestyle=DASHES,
            label="in theory" if strategy is LOCAL else None,
            zorder=4,
        )


def _heading(figure: Figure, axes: Axes, document: Document) -> None:
    plan, most = document.plan, document.plan.processes[-1]
    local, lease = (
        document.cell(each.name, most).traffic.popular.per_second for each in (LOCAL, LEASE)
    )
    figure.text(
        0.02,
        0.98,
        f"Queries/s for one profile, {most} processes: {number(local)} → {number(lease)}",
        fontsize=16,
        fontweight="bold",
        verticalalignment="top",
    )
    figure.text(
        0.02,
        0.936,
        f"{plan.rate:,.0f} calls/s in all, {plan.hot:.0%} for one profile, query of "
        f"{plan.query_ms:g} ms; in a burst of {plan.burst_query_ms:g} ms.\n"
        "All but “local only” and “lease” keep a value for 1 s.",
        fontsize=10.5,
        color=GREY,
        verticalalignment="top",
        linespacing=1.35,
    )
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="upper left",
        bbox_to_anchor=(0.012, 0.88),
        ncols=4,
        frameon=False,
        fontsize=10,
        borderpad=0,
        columnspacing=1.4,
    )
