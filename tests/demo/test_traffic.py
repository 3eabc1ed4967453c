"""The trace: reproducible, and with the rates and the popularity that were asked for."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import sqrt
from typing import Any

import pytest

from demo.traffic import CALM_SHARE, HOT_USER, Trace, make_trace

ROWS = 1000


def trace(**changed: Any) -> Trace:
    return make_trace(
        **{"rate": 2400, "seconds": 5, "hot": 0.95, "rows": ROWS, "seed": 1} | changed
    )


def test_equal_seeds_give_equal_traces_and_others_do_not() -> None:
    assert trace() == trace()
    assert trace() != trace(seed=2)


def test_the_calm_parts_follow_from_the_spike() -> None:
    drawn = trace()
    assert (drawn.spike_start, drawn.spike_end, drawn.end) == (2, 7, 11)
    assert drawn.spike_seconds == 5


def test_arrivals_are_in_order_and_inside_their_part() -> None:
    drawn = trace()
    assert all(earlier.due <= later.due for earlier, later in pairwise(drawn.arrivals))
    assert drawn.arrivals[0].due > 0
    assert drawn.arrivals[-1].due < drawn.end
    for each in drawn.arrivals:
        assert (each.part == "spike") == (drawn.spike_start <= each.due < drawn.spike_end)


def test_each_part_has_its_rate() -> None:
    before, spike, after = trace().mean_rates()
    assert_poisson(before, mean=2400 * CALM_SHARE)
    assert_poisson(spike, mean=2400)
    assert_poisson(after, mean=2400 * CALM_SHARE)


def test_gaps_are_exponential_with_the_spread_of_their_mean() -> None:
    due = [each.due for each in trace().arrivals if each.part == "spike"]
    gaps = [later - earlier for earlier, later in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    deviation = sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert deviation == pytest.approx(mean, rel=0.05)


def test_the_fraction_that_is_hot_asks_for_one_user() -> None:
    users = [each.user_id for each in trace().arrivals if each.part == "spike"]
    share = users.count(HOT_USER) / len(users)
    assert abs(share - 0.95) < 4 * sqrt(0.95 * 0.05 / len(users))
    assert trace().rate_of_hot_user() == users.count(HOT_USER) / 5
    assert trace().rate_of_others() == (len(users) - users.count(HOT_USER)) / 5


def test_the_others_are_asked_for_evenly() -> None:
    drawn = trace(hot=0.5, rows=HOT_USER + 8)
    counts = Counter(each.user_id for each in drawn.arrivals if each.part == "spike")
    del counts[HOT_USER]
    others = HOT_USER + 7
    assert len(counts) == others
    expected = counts.total() / others
    assert max(abs(count - expected) for count in counts.values()) < 4 * sqrt(expected)


def test_users_are_rows_of_the_table() -> None:
    assert {each.user_id for each in trace(hot=0).arrivals} == set(range(1, ROWS + 1))


def test_without_a_popular_profile_only_the_calm_parts_ask_for_it() -> None:
    assert trace(hot=0).rate_of_hot_user() == 0


def test_all_of_a_spike_can_ask_for_one_profile() -> None:
    assert {each.user_id for each in trace(hot=1).arrivals if each.part == "spike"} == {HOT_USER}


def assert_poisson(part: tuple[float, float, float], *, mean: float) -> None:
    start, end, rate = part
    expected = mean * (end - start)
    assert abs(rate * (end - start) - expected) < 4 * sqrt(expected)
