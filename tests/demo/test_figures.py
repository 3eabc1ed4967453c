"""Percentiles, series and theory on data that can be computed by hand."""

from __future__ import annotations

import random

import pytest

from demo.figures import (
    Count,
    Point,
    coalesced_rate,
    percentile,
    percentile_series,
    rate_series,
)


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 2), (51, 3), (75, 3), (76, 4), (100, 4)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: int) -> None:
    assert percentile([4, 1, 3, 2], percent) == expected


def test_of_a_hundred_values_the_99th_percentile_is_the_second_greatest() -> None:
    assert percentile(range(1, 101), 99) == 99


def test_of_one_value_every_percentile_is_that_value() -> None:
    assert {percentile([7], percent) for percent in (1, 50, 99)} == {7}


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 99)


def test_a_series_of_percentiles_has_one_point_for_each_window_with_values() -> None:
    samples = [(0.1, 5), (0.4, 9), (0.5, 1), (1.7, 3), (1.6, 4)]
    assert percentile_series(samples, 50, window=0.5) == (
        Point(0.25, 5),
        Point(0.75, 1),
        Point(1.75, 3),
    )


def test_a_series_of_rates_stands_between_two_readings() -> None:
    counts = [Count(0, 100), Count(0.5, 150), Count(2.5, 150), Count(3, 151)]
    assert rate_series(counts) == (Point(0.25, 100), Point(1.5, 0), Point(2.75, 2))


def test_two_readings_at_one_time_give_no_rate() -> None:
    assert rate_series([Count(1, 10), Count(1, 12)]) == ()


def test_the_theory_has_its_limits() -> None:
    assert coalesced_rate(arrivals_per_second=100, mean_seconds=0) == 100
    assert coalesced_rate(arrivals_per_second=100, mean_seconds=0.01) == 50
    assert coalesced_rate(arrivals_per_second=1e9, mean_seconds=0.01) == pytest.approx(100)
    assert coalesced_rate(arrivals_per_second=0, mean_seconds=0.01) == 0


def test_the_theory_agrees_with_a_simulation() -> None:
    numbers = random.Random(3)
    now = free_at = 0.0
    executions, arrivals, total = 0, 200_000, 0.0
    for _ in range(arrivals):
        now += numbers.expovariate(1000)
        if now >= free_at:
            seconds = numbers.expovariate(1 / 0.016)
            free_at = now + seconds
            executions += 1
            total += seconds
    theory = coalesced_rate(arrivals_per_second=arrivals / now, mean_seconds=total / executions)
    assert executions / now == pytest.approx(theory, rel=0.02)
