"""The traffic: a trace of arrivals, drawn once from a seed and sent in every run.

Arrivals form a Poisson process in three parts, calm, spike, calm. They do not depend on the answers
(an open loop): users who want a page do not wait until other users have got theirs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Part: TypeAlias = Literal["calm", "spike"]

HOT_USER = 42
"""Whose profile is popular during the spike."""

CALM_SHARE = 1 / 12
"""Arrivals per second of the calm parts, as a share of the spike's."""

CALM_BEFORE = 0.4
"""Length of the first calm part, in lengths of the spike."""

CALM_AFTER = 0.8
"""Length of the last calm part, in lengths of the spike: time to see a backlog drain."""


class Arrival(NamedTuple):
    """One request: when it is due (seconds from the start), for whom, and in which part."""

    due: float
    user_id: int
    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All arrivals of one run, in order of time."""

    arrivals: tuple[Arrival, ...]

    rows: int
    """Users that can be asked for: the ids from 1 to this."""

    spike_start: float
    """Seconds from the start of the trace."""

    spike_end: float
    """Seconds from the start of the trace."""

    end: float
    """Seconds from the start of the trace."""

    @property
    def spike_seconds(self) -> float:
        """Length of the spike."""
        return self.spike_end - self.spike_start

    def mean_rates(self) -> tuple[tuple[float, float, float], ...]:
        """Return start, end and arrivals per second, as drawn, of each of the three parts."""
        edges = (0.0, self.spike_start, self.spike_end, self.end)
        return tuple(
            (start, end, sum(start <= each.due < end for each in self.arrivals) / (end - start))
            for start, end in pairwise(edges)
        )

    def rate_of_hot_user(self) -> float:
        """Return the spike's arrivals per second for the popular profile, as drawn."""
        hot = sum(each.part == "spike" and each.user_id == HOT_USER for each in self.arrivals)
        return hot / self.spike_seconds

    def rate_of_others(self) -> float:
        """Return the spike's arrivals per second for all other profiles together, as drawn."""
        others = sum(each.part == "spike" and each.user_id != HOT_USER for each in self.arrivals)
        return others / self.spike_seconds


def make_trace(*, rate: float, seconds: float, hot: float, rows: int, seed: int) -> Trace:
    """Draw the trace; equal arguments give equal traces.

    `rate` is the mean number of arrivals per second during a spike of `seconds`. There the
    fraction `hot` asks for `HOT_USER` and the rest for any other of the users 1 to `rows`, evenly.
    In the calm parts all users are equally popular.
    """
    random_numbers = random.Random(seed)
    spike_start = CALM_BEFORE * seconds
    spike_end = spike_start + seconds
    end = spike_end + CALM_AFTER * seconds

    def anyone() -> int:
        return random_numbers.randint(1, rows)

    def mostly_the_hot_user() -> int:
        if random_numbers.random() < hot:
            return HOT_USER
        other = random_numbers.randint(1, rows - 1)
        return other if other < HOT_USER else other + 1

    def times(start: float, stop: float, per_second: float) -> Iterator[float]:
        due = start + random_numbers.expovariate(per_second)
        while due < stop:
            yield due
            due += random_numbers.expovariate(per_second)

    # A Poisson process has no memory: each part may be drawn on its own, from its own beginning.
    calm = CALM_SHARE * rate
    arrivals = [Arrival(due, anyone(), "calm") for due in times(0, spike_start, calm)]
    arrivals += [
        Arrival(due, mostly_the_hot_user(), "spike") for due in times(spike_start, spike_end, rate)
    ]
    arrivals += [Arrival(due, anyone(), "calm") for due in times(spike_end, end, calm)]
    return Trace(
        arrivals=tuple(arrivals), rows=rows, spike_start=spike_start, spike_end=spike_end, end=end
    )
