"""From a recording to figures, and no figures from counts that disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demo.errors import CountMismatchError
from demo.figures import Count, Point
from demo.ledger import Execution, Ledger
from demo.load import UNANSWERED, Sent
from demo.summary import HotKey, Recording, summarise
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
    spike_start=1,
    spike_end=3,
    end=4,
)


def recording() -> Recording:
    ledger = Ledger()
    ledger.started = 5
    ledger.executions += [
        Execution(7, "calm", 0.010),
        Execution(HOT_USER, "spike", 0.200),
        Execution(HOT_USER, "spike", 0.300),
        Execution(9, "spike", 0.010),
        Execution(HOT_USER, "calm", 0.010),
    ]
    return Recording(
        sent=Sent(
            lags=[0, 0.001, 0, 0, 0.002, 0],
            latencies=[0.010, 0.200, 0.100, 0.300, 0.011, 0.012],
            errors=[None] * 6,
        ),
        ledger=ledger,
        server_queries=5,
        counts=[Count(0, 0), Count(2, 3), Count(4, 5)],
        pool_utilisation=0.5,
    )


def test_figures_of_a_recording_computed_by_hand() -> None:
    figures = summarise(TRACE, recording())
    assert (figures.requests, figures.spike_requests) == (6, 4)
    assert (figures.server_queries, figures.client_queries, figures.spike_queries) == (5, 5, 3)
    assert figures.queries_per_second == 3 / 2
    assert (figures.p50_ms, figures.p95_ms, figures.p99_ms) == (100, 300, 300)
    assert figures.pool_utilisation == 0.5
    assert (figures.error_rate, figures.errors) == (0, {})
    assert (figures.lag_p99_ms, figures.lag_max_ms) == (2, 2)
    assert figures.queries_series == (Point(1, 1.5), Point(3, 1))
    assert figures.p99_series_ms == (
        Point(0.125, 10),
        Point(1.125, 200),
        Point(1.625, 300),
        Point(2.875, 11),
        Point(3.625, 12),
    )


def test_the_popular_profile_stands_beside_theory() -> None:
    assert summarise(TRACE, recording()).hot_key == HotKey(
        arrivals_per_second=1.5,
        executions_per_second=1,
        mean_execution_ms=250,
        theory_per_second=1.5 / (1 + 1.5 * 0.25),
    )


def test_without_a_popular_profile_theory_expects_nothing() -> None:
    trace = replace(TRACE, arrivals=TRACE.arrivals[:1] + TRACE.arrivals[4:5])
    observed = recording()
    ledger = Ledger()
    ledger.started = 2
    ledger.executions += [Execution(7, "calm", 0.01), Execution(9, "spike", 0.01)]
    sent = Sent(lags=[0, 0], latencies=[0.01, 0.01], errors=[None, None])
    observed = replace(observed, ledger=ledger, sent=sent, server_queries=2)
    assert summarise(trace, observed).hot_key == HotKey(
        arrivals_per_second=0, executions_per_second=0, mean_execution_ms=0, theory_per_second=0
    )


def test_errors_are_counted_and_their_rate_is_that_of_the_spike() -> None:
    observed = recording()
    observed.sent.errors[0] = observed.sent.errors[1] = "OSError"
    observed.sent.errors[2] = UNANSWERED
    figures = summarise(TRACE, observed)
    assert figures.errors == {"OSError": 2, UNANSWERED: 1}
    assert figures.error_rate == 2 / 4


@pytest.mark.parametrize("server_queries", [4, 6])
def test_counts_that_disagree_give_no_figures(server_queries: int) -> None:
    with pytest.raises(CountMismatchError, match=f"server counted {server_queries} queries"):
        summarise(TRACE, replace(recording(), server_queries=server_queries))


def test_a_cancelled_query_may_or_may_not_have_ended_on_the_server() -> None:
    observed = recording()
    observed.ledger.started = 6
    assert summarise(TRACE, observed).spike_queries == 3
    assert summarise(TRACE, replace(observed, server_queries=6)).spike_queries == 4
