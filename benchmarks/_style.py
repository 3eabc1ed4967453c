"""How the pictures look that are drawn with matplotlib."""

from __future__ import annotations

from typing import Any

INK, GREY = "#222222", "#555555"

# Any: matplotlib types the keys as one long list of literals.
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the picture looks the same everywhere
    "font.size": 11,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": "#e2e2e2",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "svg.hashsalt": "anyflight",  # equal figures give an equal file
}
