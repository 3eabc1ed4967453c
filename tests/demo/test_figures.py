"""Percentiles and series on data that can be computed by hand."""

from __future__ import annotations

import pytest

from demo.figures import (
    Count,
    Point,
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
