"""What each process has to send: its part of the demo's spike, or of bursts."""

from __future__ import annotations

import random
from dataclasses import replace

from demo.traffic import Arrival, Trace, make_trace

SEED = 42
ROWS = 10_000
"""Users that the traffic asks for."""

SPARE_ROWS = 1_000
"""Users that only bursts and warm-ups ask for, so that nobody knows them yet."""


WARM_UP_ROWS = 20
"""Of those, how many each process's warm-up asks for."""

WARM_UP_RATE = 300
"""Its calls per second."""


def spike(*, rate: float, seconds: float, hot: float) -> Trace:
    """Return the spike of the demo's trace, without the calm parts around it."""
    whole = make_trace(rate=rate, seconds=seconds, hot=hot, rows=ROWS, seed=SEED)
    arrivals = tuple(
        each._replace(due=each.due - whole.spike_start)
        for each in whole.arrivals
        if each.part == "spike"
    )
    return _trace(arrivals, seconds)


def split(trace: Trace, processes: int) -> list[Trace]:
    """Deal the arrivals out by chance, as a load balancer does.

    Each part is a Poisson process again, whose rate is that of the whole divided by `processes`.
    """
    random_numbers = random.Random(SEED)
    parts: list[list[Arrival]] = [[] for _ in range(processes)]
    for arrival in trace.arrivals:
        random_numbers.choice(parts).append(arrival)
    return [replace(trace, arrivals=tuple(part)) for part in parts]


def burst(user_id: int, *, calls: int, processes: int) -> list[Trace]:
    """Return for each process its part of calls that are all due at once."""
    return [
        _trace((Arrival(0.0, user_id, "spike"),) * len(range(position, calls, processes)), 1.0)
        for position in range(processes)
    ]


def warm_up(*, first: int, seconds: float) -> Trace:
    """Return some traffic for users that nobody else asks for, from `first` on."""
    random_numbers = random.Random(SEED)
    return _trace(
        tuple(
            Arrival(at / WARM_UP_RATE, first + random_numbers.randrange(WARM_UP_ROWS), "spike")
            for at in range(round(WARM_UP_RATE * seconds))
        ),
        seconds,
    )


def _trace(arrivals: tuple[Arrival, ...], seconds: float) -> Trace:
    return Trace(arrivals=arrivals, rows=ROWS, spike_start=0.0, spike_end=seconds, end=seconds)
