"""What a recording says: rates, percentiles and series. Pure functions, no clock, no event loop."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Point(NamedTuple):
    """One value of a series; `at` is the middle of what it stands for, seconds from the start."""

    at: float
    value: float


class Count(NamedTuple):
    """A counter's reading; `at` is when it was read, seconds from the start."""

    at: float
    total: int


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of `values` that at least `percent` per cent of them do not exceed.

    This is the nearest-rank definition: the result is a value that was measured, never an
    interpolation. Raises `ValueError` if there are none.
    """
    if not values:
        raise ValueError("no values, no percentile")
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def percentile_series(
    samples: Iterable[tuple[float, float]], percent: float, *, window: float
) -> tuple[Point, ...]:
    """Return the percentile for each window of time; `samples` are pairs of time and value.

    Windows are `window` seconds long and start at 0. One without samples has no point.
    """
    by_window: dict[int, list[float]] = {}
    for at, value in samples:
        by_window.setdefault(int(at // window), []).append(value)
    return tuple(
        Point((index + 0.5) * window, percentile(values, percent))
        for index, values in sorted(by_window.items())
    )


def rate_series(counts: Sequence[Count]) -> tuple[Point, ...]:
    """Return the rate per second between each reading of a counter and the next."""
    return tuple(
        Point((earlier.at + later.at) / 2, (later.total - earlier.total) / (later.at - earlier.at))
        for earlier, later in pairwise(counts)
        if later.at > earlier.at
    )
