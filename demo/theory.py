"""How often a profile was fetched from the database, and how often theory expects it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Protocol

from demo.traffic import HOT_USER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.ledger import Fetch
    from demo.traffic import Trace


class Theory(Protocol):
    """Expects how often one key is fetched per second."""

    def __call__(self, *, arrivals_per_second: float, mean_seconds: float) -> float:
        """Return it for requests at that rate (L) and fetches that take so long (S)."""


def direct_rate(*, arrivals_per_second: float, mean_seconds: float) -> float:  # noqa: ARG001 - see Theory
    """Return the fetches per second of one key if each request makes its own: L."""
    return arrivals_per_second


def coalesced_rate(
    *, arrivals_per_second: float, mean_seconds: float, kept_seconds: float = 0.0
) -> float:
    """Return the fetches per second of one key that is coalesced: L / (1 + L * (S + T)).

    It holds for requests that form a Poisson process of rate L, fetches of any distribution with
    mean S, and results that are kept for T: after that the next request, 1/L later on average,
    starts the next fetch.
    """
    return arrivals_per_second / (1 + arrivals_per_second * (mean_seconds + kept_seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRate:
    """How often the spike's requests made the service fetch one profile, or any of several."""

    arrivals_per_second: float
    """Requests for them: L."""

    per_second: float
    """Fetches of one of them."""

    mean_ms: float
    """How long a fetch took: S."""

    theory_per_second: float
    """`per_second` as theory expects it from the L and S of each profile."""


def fetches_of_hot_user(trace: Trace, fetches: Sequence[Fetch], theory: Theory) -> FetchRate:
    """Compare the fetches of the one popular profile with theory."""
    seconds = [each.seconds for each in fetches if each.part == "spike" and each.user == HOT_USER]
    return _rate(trace, seconds, theory, profiles=1, arrivals=trace.rate_of_hot_user())


def fetches_of_others(trace: Trace, fetches: Sequence[Fetch], theory: Theory) -> FetchRate:
    """Compare the fetches of all other profiles with theory; each is as popular as the next."""
    seconds = [each.seconds for each in fetches if each.part == "spike" and each.user != HOT_USER]
    others = trace.rows - 1
    return _rate(trace, seconds, theory, profiles=others, arrivals=trace.rate_of_others())


def _rate(
    trace: Trace, seconds: Sequence[float], theory: Theory, *, profiles: int, arrivals: float
) -> FetchRate:
    mean = fmean(seconds) if seconds else 0.0
    for_each = theory(arrivals_per_second=arrivals / profiles, mean_seconds=mean)
    return FetchRate(
        arrivals_per_second=arrivals,
        per_second=len(seconds) / trace.spike_seconds,
        mean_ms=1000 * mean,
        theory_per_second=profiles * for_each,
    )
