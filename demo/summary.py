"""The figures of one run, from what was recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from demo.errors import CountMismatchError
from demo.figures import coalesced_rate, percentile, percentile_series, rate_series
from demo.traffic import HOT_USER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.environment import Environment
    from demo.figures import Count, Point
    from demo.ledger import Ledger
    from demo.load import Sent
    from demo.options import Options
    from demo.traffic import Trace

WINDOW = 0.25
"""Seconds that one point of the latency series stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All that was observed while one trace was sent."""

    sent: Sent
    ledger: Ledger
    server_queries: int
    """Queries that the server counted from before the first arrival to after the last answer."""
    counts: Sequence[Count]
    """The server's counter through time."""
    pool_utilisation: float
    """Mean share of the connections in use during the spike, 0 to 1, weighted by time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotKey:
    """The popular profile during the spike."""

    arrivals_per_second: float
    executions_per_second: float
    mean_execution_ms: float
    theory_per_second: float
    """Executions per second if calls are coalesced: L / (1 + L * S)."""


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
    p50_ms: float
    p95_ms: float
    p99_ms: float
    pool_utilisation: float
    error_rate: float
    """Share of the spike's requests without an answer, 0 to 1."""
    errors: dict[str, int]
    """How often each error occurred, in the whole run."""
    hot_key: HotKey
    lag_p99_ms: float
    """How late the load generator started requests: its own delay, part of every latency."""
    lag_max_ms: float
    p99_series_ms: tuple[Point, ...]
    queries_series: tuple[Point, ...]


def summarise(trace: Trace, recording: Recording) -> Figures:
    """Turn a recording into figures; raises `CountMismatchError` if the two counts disagree."""
    check_counts(recording.ledger, recording.server_queries)
    sent, executions = recording.sent, recording.ledger.executions
    spike = [at for at, arrival in enumerate(trace.arrivals) if arrival.part == "spike"]
    latencies = [1000 * sent.latencies[at] for at in spike]
    errors = Counter(error for error in sent.errors if error is not None)
    calm_queries = sum(execution.part == "calm" for execution in executions)
    spike_queries = recording.server_queries - calm_queries
    return Figures(
        requests=len(trace.arrivals),
        spike_requests=len(spike),
        server_queries=recording.server_queries,
        client_queries=len(executions),
        spike_queries=spike_queries,
        queries_per_second=spike_queries / trace.spike_seconds,
        p50_ms=percentile(latencies, 50),
        p95_ms=percentile(latencies, 95),
        p99_ms=percentile(latencies, 99),
        pool_utilisation=recording.pool_utilisation,
        error_rate=fmean(sent.errors[at] is not None for at in spike),
        errors=dict(errors),
        hot_key=_hot_key(trace, recording.ledger),
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


def check_counts(ledger: Ledger, server_queries: int) -> None:
    """Raise `CountMismatchError` unless the server counted what the client sent.

    Without failed or cancelled queries the two are equal. One that was cancelled may or may not
    have ended on the server, so with those the server's count lies between answered and started.
    """
    answered, started = len(ledger.executions), ledger.started
    if not answered <= server_queries <= started:
        raise CountMismatchError(
            f"the server counted {server_queries} queries, but the client started {started} "
            f"and got {answered} answers: one of the counts is wrong, so no figure is shown"
        )


def _hot_key(trace: Trace, ledger: Ledger) -> HotKey:
    """Compare the executions of the popular profile with theory."""
    arrivals = trace.rate_of_hot_user()
    seconds = [
        execution.seconds
        for execution in ledger.executions
        if execution.part == "spike" and execution.user_id == HOT_USER
    ]
    mean = fmean(seconds) if seconds else 0.0
    return HotKey(
        arrivals_per_second=arrivals,
        executions_per_second=len(seconds) / trace.spike_seconds,
        mean_execution_ms=1000 * mean,
        theory_per_second=coalesced_rate(arrivals_per_second=arrivals, mean_seconds=mean),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both runs of one trace, and what they depend on."""

    options: Options
    trace: Trace
    environment: Environment
    before: Figures
    after: Figures
