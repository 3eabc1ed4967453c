"""Rounds, and what they say: every case is measured in every round, so that ratios are paired.

A machine is never quiet: what slows a round down slows down all cases in it. So only the cases of
one round are compared with each other, and the median over the rounds is what counts. The order
rotates, for one case may leave work behind for the next.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import NamedTuple

Case = Callable[[], Awaitable[float]]
"""Makes one measurement; what it returns is its figure, in the unit of the result."""

Samples = dict[str, list[float | None]]
"""The figures of each case, one for each round; None where the case sat out."""

NEARLY_ONE = 1.02
"""Medians whose ratio is less cannot be told apart."""
SELDOM = 4
"""Cases that are measured seldom take part in one round of so many."""


class Spread(NamedTuple):
    """The middle of some figures, and the quartiles around it."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a question is to measure.

    :ivar quick: whether this is a smoke run, whose figures mean nothing
    :ivar largest: the largest number of calls in flight
    :ivar unsafe: the rivals that are not cancel-safe
    """

    backend: str
    quick: bool
    largest: int
    unsafe: frozenset[str]

    def rounds(self, number: int) -> int:
        """Return the number of rounds."""
        return 2 if self.quick else number

    def size(self, number: int) -> int:
        """Return how many calls to make."""
        return max(number // 100, 10) if self.quick else number


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the rounds of some cases gave, on one back end.

    :ivar question: the name of the module that asks
    :ivar label: what was done, such as "1,000 joiners"; the same on every back end
    :ivar size: the number in that, for curves; 0 where there is none
    :ivar floor: the case that the others are compared with
    :ivar samples: the figures
    :ivar notes: a word about a case, such as how many callers were served
    """

    question: str
    backend: str
    label: str
    size: int
    floor: str
    samples: Samples
    notes: dict[str, str] = field(default_factory=dict)
    unit: str = "µs"

    def figure(self, case: str) -> Spread:
        """Return the middle of a case's figures."""
        return spread([each for each in self.samples[case] if each is not None])

    def ratio(self, case: str, to: str) -> Spread:
        """Return the middle of the ratios of two cases, each ratio within one round."""
        pairs = zip(self.samples[case], self.samples[to], strict=True)
        return spread([one / other for one, other in pairs if one is not None and other])


def spread(figures: list[float]) -> Spread:
    """Return median and quartiles; of one figure alone, that."""
    if len(figures) == 1:
        return Spread(figures[0], figures[0], figures[0])
    low, _, high = quantiles(figures, n=4, method="inclusive")
    return Spread(median(figures), low, high)


async def measure(
    cases: Mapping[str, Case], *, rounds: int, seldom: Collection[str] = ()
) -> Samples:
    """Measure every case in turn, in so many rounds.

    :param seldom: the cases that take part in one round of `SELDOM`
    """
    names = list(cases)
    samples: Samples = {name: [] for name in names}
    for index in range(rounds):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            if index % SELDOM and name in seldom:
                samples[name].append(None)
            else:
                gc.collect()
                samples[name].append(await cases[name]())
    return samples
