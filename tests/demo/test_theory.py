"""How often theory expects a fetch, and that it stands beside what was measured."""

from __future__ import annotations

import random

import pytest

from demo.ledger import Fetch
from demo.theory import (
    FetchRate,
    coalesced_rate,
    direct_rate,
    fetches_of_hot_user,
    fetches_of_others,
)
from demo.traffic import HOT_USER, Arrival, Part, Trace


def test_without_coalescing_each_request_fetches() -> None:
    assert direct_rate(arrivals_per_second=100, mean_seconds=3) == 100


def test_the_theory_has_its_limits() -> None:
    assert coalesced_rate(arrivals_per_second=100, mean_seconds=0) == 100
    assert coalesced_rate(arrivals_per_second=100, mean_seconds=0.01) == 50
    assert coalesced_rate(arrivals_per_second=1e9, mean_seconds=0.01) == pytest.approx(100)
    assert coalesced_rate(arrivals_per_second=0, mean_seconds=0.01) == 0


def test_what_is_kept_is_not_fetched() -> None:
    assert coalesced_rate(arrivals_per_second=100, mean_seconds=0.01, kept_seconds=0.98) == 1


@pytest.mark.parametrize("kept", [0, 0.05])
def test_the_theory_agrees_with_a_simulation(kept: float) -> None:
    numbers = random.Random(3)
    now = free_at = 0.0
    fetches, arrivals, total = 0, 200_000, 0.0
    for _ in range(arrivals):
        now += numbers.expovariate(1000)
        if now >= free_at:
            seconds = numbers.expovariate(1 / 0.016)
            free_at = now + seconds + kept
            fetches += 1
            total += seconds
    theory = coalesced_rate(
        arrivals_per_second=arrivals / now, mean_seconds=total / fetches, kept_seconds=kept
    )
    assert fetches / now == pytest.approx(theory, rel=0.02)


def trace(*users: int) -> Trace:
    """Return two seconds of a spike in which these are asked for, before as much calm."""
    parts: tuple[Part, ...] = ("spike", "calm")
    return Trace(
        arrivals=tuple(Arrival(0.0, user, part) for part in parts for user in users),
        rows=11,
        spike_start=0,
        spike_end=2,
        end=4,
    )


FETCHES = [
    Fetch(HOT_USER, "spike", 0.2),
    Fetch(HOT_USER, "spike", 0.3),
    Fetch(7, "spike", 0.1),
    Fetch(HOT_USER, "calm", 9),
    Fetch(7, "calm", 9),
]


def test_the_popular_profile_stands_beside_theory() -> None:
    asked = trace(*[HOT_USER] * 3, 7, 8)
    assert fetches_of_hot_user(asked, FETCHES, coalesced_rate) == FetchRate(
        arrivals_per_second=1.5,
        per_second=1,
        mean_ms=250,
        theory_per_second=1.5 / (1 + 1.5 * 0.25),
    )


def test_of_the_others_each_is_a_profile_of_its_own() -> None:
    asked = trace(*[HOT_USER] * 3, 7, 8)
    assert fetches_of_others(asked, FETCHES, coalesced_rate) == FetchRate(
        arrivals_per_second=1,
        per_second=0.5,
        mean_ms=100,
        theory_per_second=10 * 0.1 / (1 + 0.1 * 0.1),
    )


def test_where_nobody_asks_theory_expects_nothing() -> None:
    nothing = FetchRate(arrivals_per_second=0, per_second=0, mean_ms=0, theory_per_second=0)
    assert fetches_of_hot_user(trace(7), [], coalesced_rate) == nothing
    assert fetches_of_others(trace(HOT_USER), [], coalesced_rate) == nothing
