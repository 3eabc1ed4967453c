"""The picture of docs/fleet-size.md: executions, and what the server has to do, by processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks._style import GREY, STYLE
from proof.lease.crowd import Crowd
from proof.lease.crowd_figures import COMMON, PROCESSES, Seen
from proof.lease.crowd_theory import expected

# Of Okabe and Ito: told apart with every kind of colour vision.
ALONE, LEASED, REQUESTS, MESSAGES = "#d55e00", "#0072b2", "#0072b2", "#009e73"
CURVE = sorted({round(10 ** (step / 20)) for step in range(61)})
"""Numbers of processes for a curve."""


def draw(seen: Seen, lasts: float, folder: Path) -> None:
    """Write `fleet-size.png` and `fleet-size.svg` into a folder."""
    with mpl.rc_context({**STYLE, "lines.markersize": 6}):
        figure = compose(seen, replace(COMMON, lasts=lasts))
        figure.savefig(folder / "fleet-size.png", dpi=150)
        figure.savefig(folder / "fleet-size.svg", metadata={"Date": None})


def compose(seen: Seen, common: Crowd) -> Figure:
    """Compose the figure: lines are theory, points the simulation."""
    figure = Figure(figsize=(10, 4.9), facecolor="white")
    grid = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.095, right=0.98, top=0.78, bottom=0.125, wspace=0.24)
    executions, traffic = grid
    alone = replace(common, leased=False)

    def of_executions(each: Any) -> float:
        rate: float = each.executions
        return rate

    _curve(executions, alone, seen, of_executions, ALONE, "each process for itself")
    _curve(executions, common, seen, of_executions, LEASED, "with a lease")
    _curve(traffic, common, seen, lambda each: each.requests, REQUESTS, "requests to the server")
    _curve(traffic, common, seen, lambda each: each.messages, MESSAGES, "messages to processes")
    for axes, name in ((executions, "executions per second"), (traffic, "per second")):
        _scales(axes, name)
    _heading(figure, common)
    return figure


def _curve(  # noqa: PLR0913, PLR0917 - what a curve is made of
    axes: Axes,
    common: Crowd,
    seen: Seen,
    read: Callable[[Any], float],
    colour: str,
    label: str,
) -> None:
    curve = {n: read(expected(replace(common, processes=n))) for n in CURVE}
    # On a logarithmic scale there is no place for what one process alone has none of.
    shown = {n: value for n, value in curve.items() if value}
    axes.plot(list(shown), list(shown.values()), color=colour, linewidth=1.5)
    points = [read(seen[replace(common, processes=n)]) or nan for n in PROCESSES]
    axes.plot(PROCESSES, points, "o", color=colour, label=label)


def _scales(axes: Axes, name: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(10, 30_000)
    axes.set_xlabel("processes")
    axes.set_ylabel(name)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.legend(loc="upper left", frameon=False, fontsize=10.5, borderpad=0)


def _heading(figure: Figure, common: Crowd) -> None:
    figure.text(
        0.02,
        0.975,
        "However many processes: with a lease the work is done one after the other",
        fontsize=14,
        fontweight="bold",
        verticalalignment="top",
    )
    figure.text(
        0.02,
        0.905,
        f"One key, {common.rate:,.0f} calls per second in the whole fleet, work of "
        f"{1000 * common.seconds:.0f} ms.\nPoints are the simulation, {common.lasts:g} seconds of "
        "its time each; lines are the formulas.",
        fontsize=10.5,
        color=GREY,
        verticalalignment="top",
    )
