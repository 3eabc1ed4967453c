"""Freshness is a function of an entry, now and a draw: its boundaries, to the last moment."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from anyflight import StoredValue
from anyflight._outcome import Failure
from anyflight.cache._freshness import LONGEST_LEAD, Entry, freshness
from anyflight.cache._lifetimes import Lifetimes


def lifetimes(**options: Any) -> Lifetimes:
    defaults: dict[str, Any] = {
        "ttl": 10.0,
        "ttl_jitter": 0.0,
        "stale_while_revalidate": 0.0,
        "stale_if_error": 0.0,
        "refresh_ahead": 0.0,
        "error_ttl": {},
    }
    return Lifetimes(**defaults | options)


def entry(now: float = 100.0, cost: float = 0.0, **options: Any) -> Entry:
    stored = StoredValue(value="value", ttl=options.get("ttl", 10.0), cost=cost)
    return lifetimes(**options).entry(stored, now)


def before(moment: float) -> float:
    return math.nextafter(moment, -math.inf)


def states(of: Entry, *moments: float, draw: float = 1) -> list[str]:
    return [freshness(of, moment, draw).name for moment in moments]


def test_a_value_is_fresh_until_the_moment_at_which_it_expires() -> None:
    assert states(entry(), 100, before(110), 110) == ["FRESH", "FRESH", "EXPIRED"]


def test_it_is_stale_for_as_long_as_it_may_be_while_it_is_revalidated() -> None:
    one = entry(stale_while_revalidate=5)
    assert states(one, before(110), 110, before(115), 115) == ["FRESH", "STALE", "STALE", "EXPIRED"]


def test_it_stands_in_for_errors_from_the_same_moment_on_as_it_is_stale() -> None:
    one = entry(stale_while_revalidate=5, stale_if_error=7)
    assert states(one, 114, 115, before(117), 117) == [
        "STALE",
        "STALE_IF_ERROR",
        "STALE_IF_ERROR",
        "EXPIRED",
    ]
    assert [one.spare(moment) for moment in (111, before(117), 117)] == [True, True, False]
    assert one.gone == 117
    assert [one.useless(moment) for moment in (before(117), 117)] == [False, True]
    assert entry(stale_while_revalidate=5, stale_if_error=2).gone == 115


def test_an_error_alone_is_kept_until_its_moment() -> None:
    one = lifetimes().failed(None, Failure(ValueError()), frozenset(), 105)
    assert states(one, 100, before(105), 105) == ["FAILED", "FAILED", "EXPIRED"]
    assert one.gone == 105
    assert not one.spare(100)


def test_an_error_that_is_kept_beside_a_value_counts_once_the_value_is_not_served_any_more() -> (
    None
):
    value = entry(stale_while_revalidate=5, stale_if_error=20)
    both = lifetimes().failed(value, Failure(ValueError()), frozenset(), 118)
    assert states(both, 109, 110, 115, before(118), 118, before(130), 130) == [
        "FRESH",
        "STALE",
        "FAILED",
        "FAILED",
        "STALE_IF_ERROR",
        "STALE_IF_ERROR",
        "EXPIRED",
    ]
    assert both.gone == 130


def test_an_early_refresh_is_due_when_the_paper_says_so() -> None:
    one = entry(cost=2.0, refresh_ahead=1.5)
    draw = math.exp(-1)  # one unit of time, so three seconds before
    assert states(one, 106.99, 107.01, draw=draw) == ["FRESH", "REFRESH"]
    assert states(one, before(110), draw=1) == ["FRESH"]
    assert states(one, 110, draw=draw) == ["EXPIRED"]


def test_no_draw_makes_a_refresh_due_before_the_calm_is_over() -> None:
    one = entry(cost=0.1, refresh_ahead=1)
    least = 2.0**-53  # of `1 - random()`
    assert -math.log(least) <= LONGEST_LEAD
    assert states(one, one.calm_until - 1e-9, one.calm_until + 1e-9, draw=least) == [
        "FRESH",
        "REFRESH",
    ]
    assert entry(cost=0.1).calm_until == 110


def test_what_took_no_time_and_what_never_expires_is_not_refreshed_early() -> None:
    assert states(entry(cost=0.0, refresh_ahead=1), before(110), draw=1e-9) == ["FRESH"]
    forever = entry(cost=1.0, refresh_ahead=1, ttl=math.inf)
    assert states(forever, 1e300, draw=1e-9) == ["FRESH"]
    assert forever.gone == math.inf


@given(draw=st.floats(0, 1, exclude_min=True), jitter=st.floats(0, 1))
def test_a_lifetime_is_shortened_by_the_jitter_at_most(draw: float, jitter: float) -> None:
    lifetime = lifetimes(ttl_jitter=jitter).lifetime(draw)
    assert 10 * (1 - jitter) <= lifetime <= 10
    assert lifetime > 0
    assert lifetimes(ttl_jitter=jitter).lifetime(1) == 10


def test_the_age_of_a_stored_value_counts() -> None:
    stored = StoredValue(value="value", ttl=10.0, age=4.0)
    assert states(lifetimes().entry(stored, 100), before(106), 106) == ["FRESH", "EXPIRED"]
    window = lifetimes(stale_while_revalidate=1, stale_if_error=3)
    assert window.keep(stored) == 13


def test_the_first_class_that_matches_says_how_long_an_error_is_kept() -> None:
    kept = lifetimes(error_ttl={KeyError: 1, LookupError: 2, Exception: 3})
    errors = [KeyError(), IndexError(), OSError()]
    assert [kept.error_lifetime(error) for error in errors] == [1, 2, 3]
    assert lifetimes(error_ttl={KeyError: 1}).error_lifetime(IndexError()) is None
