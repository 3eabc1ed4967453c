"""From a recording to figures, and no figures from counts that disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demo.errors import CountMismatchError
from demo.figures import Count, Point
from demo.ledger import Fetch, Ledger, Query
from demo.load import UNANSWERED, Sent
from demo.schema import ServerCounts
from demo.summary import Figures, Recording
from demo.summary import summarise as summarise_with
from demo.theory import coalesced_rate
from demo.traffic import HOT_USER, Arrival, Trace

TRACE = Trace(
    arrivals=(
        Arrival(0.1, 7, "calm"),
        Arrival(1.0, HOT_USER, "spike"),
        Arrival(1.1, HOT_USER, "spike"),
        Arrival(1.6, HOT_USER, "spike"),
        Arrival(2.9, 9, "spike"),
        Arrival(3.5, HOT_USER, "calm"),
    ),
    rows=100,
    spike_start=1,
    spike_end=3,
    end=4,
)


def recording() -> Recording:
    ledger = Ledger()
    ledger.started, ledger.asked = 4, 5
    ledger.queries += [
        Query((7,), "calm", 0.010),
        Query((HOT_USER,), "spike", 0.200),
        Query((HOT_USER, 9), "spike", 0.300),
        Query((HOT_USER,), "calm", 0.010),
    ]
    return Recording(
        sent=Sent(
            lags=[0, 0.001, 0, 0, 0.002, 0],
            latencies=[0.010, 0.200, 0.100, 0.300, 0.011, 0.012],
            errors=[None] * 6,
        ),
        ledger=ledger,
        fetches=[Fetch(HOT_USER, "spike", 0.25), Fetch(9, "spike", 0.5)],
        server=ServerCounts(4, 5),
        counts=[Count(0, 0), Count(2, 3), Count(4, 4)],
        pool_utilisation=0.5,
    )


def summarise(trace: Trace, recording: Recording) -> Figures:
    return summarise_with(trace, recording, coalesced_rate)


def test_figures_of_a_recording_computed_by_hand() -> None:
    figures = summarise(TRACE, recording())
    assert (figures.requests, figures.spike_requests) == (6, 4)
    assert (figures.server_queries, figures.client_queries, figures.spike_queries) == (4, 4, 2)
    assert figures.queries_per_second == 2 / 2
    assert figures.rows_per_query == 3 / 2
    assert (figures.p50_ms, figures.p95_ms, figures.p99_ms) == (100, 300, 300)
    assert figures.pool_utilisation == 0.5
    assert (figures.error_rate, figures.errors) == (0, {})
    assert (figures.lag_p99_ms, figures.lag_max_ms) == (2, 2)
    assert figures.queries_series == (Point(1, 1.5), Point(3, 0.5))
    assert figures.p99_series_ms == (
        Point(0.125, 10),
        Point(1.125, 200),
        Point(1.625, 300),
        Point(2.875, 11),
        Point(3.625, 12),
    )


def test_both_kinds_of_profiles_stand_beside_theory() -> None:
    figures = summarise(TRACE, recording())
    assert (figures.popular.per_second, figures.popular.mean_ms) == (0.5, 250)
    assert figures.popular.theory_per_second == 1.5 / (1 + 1.5 * 0.25)
    assert (figures.others.per_second, figures.others.mean_ms) == (0.5, 500)
    assert figures.others.theory_per_second == pytest.approx(0.5 / (1 + 0.5 / 99 * 0.5))


def test_errors_are_counted_and_their_rate_is_that_of_the_spike() -> None:
    observed = recording()
    observed.sent.errors[0] = observed.sent.errors[1] = "OSError"
    observed.sent.errors[2] = UNANSWERED
    figures = summarise(TRACE, observed)
    assert figures.errors == {"OSError": 2, UNANSWERED: 1}
    assert figures.error_rate == 2 / 4


@pytest.mark.parametrize("queries", [3, 5])
def test_queries_that_disagree_give_no_figures(queries: int) -> None:
    with pytest.raises(CountMismatchError, match=f"server counted {queries} queries"):
        summarise(TRACE, replace(recording(), server=ServerCounts(queries, 5)))


@pytest.mark.parametrize("rows", [4, 6])
def test_rows_that_disagree_give_no_figures(rows: int) -> None:
    with pytest.raises(CountMismatchError, match=f"server counted {rows} rows"):
        summarise(TRACE, replace(recording(), server=ServerCounts(4, rows)))


def test_a_cancelled_query_may_or_may_not_have_ended_on_the_server() -> None:
    observed = recording()
    observed.ledger.started, observed.ledger.asked = 5, 7
    assert summarise(TRACE, observed).spike_queries == 2
    assert summarise(TRACE, replace(observed, server=ServerCounts(5, 7))).spike_queries == 3
