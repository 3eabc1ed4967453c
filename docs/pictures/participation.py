"""Draw the states of a call that goes through a lease: writes participation.svg and .png.

Run it with ``python docs/pictures/participation.py``.
"""

from __future__ import annotations

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from states import BLUE, GREEN, GREY, ORANGE, arrow, draw_state, save

STATES = {
    "ASKING": (7.6, 5.6, "a request to acquire\nis on its way", BLUE),
    "WAITING": (1.9, 5.6, "another call\nholds the lease", GREY),
    "LEADING": (13.3, 5.6, "the work runs here,\nthe lease is renewed", BLUE),
    "ALONE": (11.4, 2.3, "the work runs here\nwithout a lease", ORANGE),
    "OVER": (7.6, 0.2, "the call has its value\nor its error", GREEN),
}


def main() -> None:
    """Draw the picture next to this file."""
    figure, axes = plt.subplots(figsize=(11, 5.9))
    axes.set_xlim(0, 16)
    axes.set_ylim(-0.6, 7.7)
    axes.axis("off")
    for name, (x, y, meaning, colour) in STATES.items():
        draw_state(axes, name, x, y, meaning, colour)
    draw_arrows(axes)
    save(figure, "participation")


def draw_arrows(axes: Axes) -> None:
    """Draw every transition that there is, with its cause."""
    arrow(axes, [(7.6, 7.45), (7.6, 6.62)], "a call", (7.8, 7.2), align="left")
    arrow(axes, [(6.12, 6.15), (3.4, 6.15)], "Busy: it is held", (4.76, 6.37))
    again = "a message, the end\nof the lease, or the\npoll interval is over"
    arrow(axes, [(3.4, 5.55), (6.08, 5.55)], again, (4.75, 4.95))
    arrow(axes, [(9.12, 6.15), (11.78, 6.15)], "Won", (10.4, 6.37))
    lost = "the lease is lost:\nthe work is cancelled"
    arrow(axes, [(11.78, 5.55), (9.12, 5.55)], lost, (10.43, 5.1), colour=ORANGE)
    alone = "the server cannot\nbe asked; or Hit, but\nthe value is unshared"
    arrow(axes, [(8.5, 5.2), (8.5, 2.55), (9.88, 2.55)], alone, (8.65, 3.75), align="left")
    hit = "Hit: there is an\noutcome of an epoch\nthat it may use"
    arrow(axes, [(7.0, 5.2), (7.0, 1.22)], hit, (6.85, 3.2), align="right", colour=GREEN)
    arrow(axes, [(11.4, 1.9), (11.4, 0.7), (9.12, 0.7)], "the work ends", (9.3, 0.92), **TO_END)
    ends = "the work ends: its\noutcome is committed,\nor fenced"
    arrow(axes, [(13.9, 5.2), (13.9, 0.2), (9.12, 0.2)], ends, (14.05, 2.9), **TO_END)


TO_END = {"align": "left", "colour": GREEN}

if __name__ == "__main__":
    main()
