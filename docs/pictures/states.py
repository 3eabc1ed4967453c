"""Draw the states of a flight: ``python docs/pictures/states.py`` writes states.svg and .png."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

INK, GREY, BLUE, ORANGE, GREEN = "#222222", "#666666", "#0072b2", "#d55e00", "#009e73"
WIDTH, HEIGHT = 2.5, 0.95

STATES = {
    "QUEUED": (2.0, 5.6, "behind the running\nflight of its key", GREY),
    "STARTING": (7.2, 5.6, "the leader exists,\nfunction not called", BLUE),
    "RUNNING": (12.4, 5.6, "the function\nhas been called", BLUE),
    "ABANDONED": (12.4, 2.9, "running, and every\nwaiter has left", ORANGE),
    "DETACHED": (7.2, 2.9, "out of the table, serves\nthe waiters it has", ORANGE),
    "LANDED": (7.2, 0.4, "value, error or\ncancellation is stored", GREEN),
}


def main() -> None:
    """Draw the picture next to this file."""
    figure, axes = plt.subplots(figsize=(11, 5.9))
    axes.set_xlim(0, 16)
    axes.set_ylim(-0.4, 7.7)
    axes.axis("off")
    for name, (x, y, meaning, colour) in STATES.items():
        draw_state(axes, name, x, y, meaning, colour)
    draw_arrows(axes)
    save(figure, "states")


def save(figure: Figure, name: str) -> None:
    """Write a picture next to this file, as SVG and PNG."""
    for suffix in ("svg", "png"):
        figure.savefig(
            Path(__file__).with_name(f"{name}.{suffix}"),
            bbox_inches="tight",
            dpi=150,
            facecolor="white",
            metadata={"Date": None} if suffix == "svg" else None,
        )


def draw_state(axes: Axes, name: str, x: float, y: float, meaning: str, colour: str) -> None:
    """Draw one box with the state's name and what it means."""
    box = FancyBboxPatch(
        (x - WIDTH / 2, y - HEIGHT / 2 + 0.25),
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0.16",
        linewidth=2,
        edgecolor=colour,
        facecolor="white",
    )
    axes.add_patch(box)
    axes.text(x, y + 0.52, name, ha="center", va="center", weight="bold", color=colour, size=11)
    axes.text(x, y + 0.05, meaning, ha="center", va="center", color=INK, size=8.5)


def draw_arrows(axes: Axes) -> None:
    """Draw every transition that there is, with its cause."""
    new = "a call that may not join\nthe running flight"
    arrow(axes, [(2, 7.45), (2, 6.62)], new, (2.2, 7.2), align="left")
    arrow(axes, [(7.2, 7.45), (7.2, 6.62)], "a call, and the key is free", (7.4, 7.2), align="left")
    arrow(axes, [(3.5, 5.85), (5.72, 5.85)], "that one lands,\nor is detached", (4.6, 6.3))
    arrow(axes, [(8.7, 5.85), (10.92, 5.85)], "the leader calls\nthe function", (9.8, 6.3))
    leaves = "the last\nwaiter leaves"
    arrow(axes, [(12.8, 5.2), (12.8, 3.9)], leaves, (12.95, 4.55), align="left")
    joins = 'a call joins, if\n"finish" is set'
    arrow(axes, [(12.1, 3.9), (12.1, 5.2)], joins, (11.95, 4.55), align="right", colour=ORANGE)
    arrow(axes, [(7.2, 5.2), (7.2, 3.9)], "forget()", (7.05, 4.55), align="right")
    old = "forget(), or a call\nfinds it too old"
    arrow(axes, [(10.92, 5.4), (8.75, 3.75)], old, (9.55, 4.8), align="right")
    arrow(axes, [(10.92, 3.15), (8.72, 3.15)], "forget()", (9.8, 3.37))
    ends = "the work ends,\nor its time is over"
    arrow(axes, [(7.2, 2.5), (7.2, 1.42)], ends, (7.35, 2.0), align="left", colour=GREEN)
    landing = [(12.4, 2.5), (12.4, 0.85), (8.72, 0.85)]
    arrow(axes, landing, ends, (12.25, 1.9), align="right", colour=GREEN)
    landing = [(13.9, 5.85), (15.3, 5.85), (15.3, 0.4), (8.72, 0.4)]
    arrow(axes, landing, ends, (15.15, 1.9), align="right", colour=GREEN)
    landing = [(5.72, 5.45), (5.1, 5.45), (5.1, 0.85), (5.68, 0.85)]
    never = "the last waiter\nleaves, its time\nis over, or the\nowner is gone"
    arrow(axes, landing, never, (4.95, 3.4), align="right", colour=GREEN)
    landing = [(2, 5.2), (2, 0.4), (5.68, 0.4)]
    gone = "the last waiter leaves,\nor the owner is gone"
    arrow(axes, landing, gone, (2.15, 1.9), align="left", colour=GREEN)


def arrow(
    axes: Axes,
    points: list[tuple[float, float]],
    label: str,
    at: tuple[float, float],
    *,
    align: str = "center",
    colour: str = INK,
) -> None:
    """Draw one transition along the points, with an arrowhead at the last."""
    axes.plot(*zip(*points[:-1], strict=True), color=colour, linewidth=1.4, solid_joinstyle="round")
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.4, "shrinkA": 0}
    axes.annotate("", xy=points[-1], xytext=points[-2], arrowprops=style)
    axes.text(*at, label, ha=align, va="center", size=8.5, color=colour)


if __name__ == "__main__":
    main()
