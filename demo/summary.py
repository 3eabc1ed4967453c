"""The figures of each run, from what was recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from demo.errors import CountMismatchError
from demo.figures import percentile, percentile_series, rate_series
from demo.theory import fetches_of_hot_user, fetches_of_others

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demo.environment import Environment
    from demo.figures import Count, Point
    from demo.ledger import Fetch, Ledger
    from demo.load import Sent
    from demo.options import Options
    from demo.schema import ServerCounts
    from demo.theory import FetchRate, Theory
    from demo.traffic import Trace

WINDOW = 0.25
"""Seconds that one point of the latency series stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All that was observed while one trace was sent."""

    sent: Sent
    ledger: Ledger
    fetches: Sequence[Fetch]
    """Of each user, as long as requests shared it."""
    server: ServerCounts
    """What the server counted from before the first arrival to after the last answer."""
    counts: Sequence[Count]
    """The server's counter through time."""
    pool_utilisation: float
    """Mean share of the connections in use during the spike, 0 to 1, weighted by time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One run in figures. Latencies, errors and the pool are those of the spike."""

    requests: int
    spike_requests: int
    server_queries: int
    client_queries: int
    spike_queries: int
    """Queries that the spike's requests caused, also those that ran later."""
    queries_per_second: float
    """`spike_queries` per second of the spike."""
    rows_per_query: float
    """Users that one of `spike_queries` returned on average."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    pool_utilisation: float
    error_rate: float
    """Share of the spike's requests without an answer, 0 to 1."""
    errors: dict[str, int]
    """How often each error occurred, in the whole run."""
    popular: FetchRate
    """The one popular profile."""
    others: FetchRate
    """All other profiles together."""
    lag_p99_ms: float
    """How late the load generator started requests: its own delay, part of every latency."""
    lag_max_ms: float
    p99_series_ms: tuple[Point, ...]
    queries_series: tuple[Point, ...]


def summarise(trace: Trace, recording: Recording, theory: Theory) -> Figures:
    """Turn a recording into figures; raises `CountMismatchError` if the two counts disagree.

    `theory` is that of the strategy that answered.
    """
    check_counts(recording.ledger, recording.server)
    sent, server, queries = recording.sent, recording.server, recording.ledger.queries
    spike = [at for at, arrival in enumerate(trace.arrivals) if arrival.part == "spike"]
    latencies = [1000 * sent.latencies[at] for at in spike]
    errors = Counter(error for error in sent.errors if error is not None)
    calm = [query for query in queries if query.part == "calm"]
    spike_queries = server.queries - len(calm)
    spike_rows = server.rows - sum(len(query.users) for query in calm)
    return Figures(
        requests=len(trace.arrivals),
        spike_requests=len(spike),
        server_queries=server.queries,
        client_queries=len(queries),
        spike_queries=spike_queries,
        queries_per_second=spike_queries / trace.spike_seconds,
        rows_per_query=spike_rows / spike_queries,
        p50_ms=percentile(latencies, 50),
        p95_ms=percentile(latencies, 95),
        p99_ms=percentile(latencies, 99),
        pool_utilisation=recording.pool_utilisation,
        error_rate=fmean(sent.errors[at] is not None for at in spike),
        errors=dict(errors),
        popular=fetches_of_hot_user(trace, recording.fetches, theory),
        others=fetches_of_others(trace, recording.fetches, theory),
        lag_p99_ms=1000 * percentile(sent.lags, 99),
        lag_max_ms=1000 * max(sent.lags),
        p99_series_ms=percentile_series(
            (
                (arrival.due, 1000 * latency)
                for arrival, latency in zip(trace.arrivals, sent.latencies, strict=True)
            ),
            99,
            window=WINDOW,
        ),
        queries_series=rate_series(recording.counts),
    )


def check_counts(ledger: Ledger, server: ServerCounts) -> None:
    """Raise `CountMismatchError` unless the server counted what the client sent.

    Without failed or cancelled queries the two are equal, and so are the rows, for each user that
    is asked for exists. A query that was cancelled may or may not have ended on the server, so with
    those the server's count lies between answered and started.
    """
    answered, rows = len(ledger.queries), sum(len(query.users) for query in ledger.queries)
    _check("queries", server.queries, answered=answered, started=ledger.started)
    _check("rows", server.rows, answered=rows, started=ledger.asked)


def _check(what: str, counted: int, *, answered: int, started: int) -> None:
    if not answered <= counted <= started:
        raise CountMismatchError(
            f"the server counted {counted} {what}, but the client asked for {started} and got "
            f"{answered}: one of the counts is wrong, so no figure is shown"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All runs of one trace, and what they depend on."""

    options: Options
    trace: Trace
    environment: Environment
    runs: Mapping[str, Figures]
    """By the name of the strategy, in the order of `demo.strategies.STRATEGIES`."""
