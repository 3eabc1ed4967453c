"""One cell in figures: what came of a trace that some processes sent together. Pure functions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING

from demo.figures import percentile
from demo.ledger import Ledger
from demo.summary import check_counts
from demo.theory import FetchRate, fetches_of_hot_user, fetches_of_others
from fleet.counting import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.traffic import Trace
    from fleet.sending import Report
    from fleet.strategies import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a trace has made of the callers and of both servers."""

    calls: int
    queries: int
    """Executions of the work, as PostgreSQL counted them; the workers counted the same."""
    p50_ms: float
    """Of the calls, from when they were due."""
    p99_ms: float
    lag_p99_ms: float
    """How late the load generators started calls: part of every latency."""
    errors: dict[str, int]
    sent: int
    """Commands that clients sent to Valkey."""
    inside: int
    """Commands that scripts made there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """Bursts of calls for a key that nobody has asked for yet."""

    load: Load
    executions: tuple[int, ...]
    """Of each burst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The traffic of one cell."""

    load: Load
    profiles: int
    """Users that were asked for, the popular one included."""
    spike_seconds: float
    seconds: float
    """From the trace's zero to the last answer."""
    popular: FetchRate
    """The one popular profile."""
    others: FetchRate
    """All other profiles together."""

    @property
    def queries_per_second(self) -> float:
        """Queries that the traffic caused, per second of the traffic."""
        return self.load.queries / self.spike_seconds

    @property
    def sent_per_second(self) -> float:
        """Commands that clients sent, per second until the last answer."""
        return self.load.sent / self.seconds

    @property
    def inside_per_second(self) -> float:
        """Commands that scripts made, per second until the last answer."""
        return self.load.inside / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was observed while some processes sent a trace together."""

    reports: Sequence[Report]
    counted: Reading
    seconds: float
    """From the trace's zero to the last answer."""


def load_of(strategy: Strategy, reports: Sequence[Report], counted: Reading) -> Load:
    """Add up what the processes report; raises `CountMismatchError` if PostgreSQL disagrees."""
    check_counts(_added(reports), counted.database)
    latencies = [1000 * each for report in reports for each in report.sent.latencies]
    lags = [1000 * each for report in reports for each in report.sent.lags]
    errors = Counter(error for report in reports for error in report.sent.errors if error)
    inside = strategy.inside(counted.commands)
    return Load(
        calls=len(latencies),
        queries=counted.database.queries,
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        lag_p99_ms=percentile(lags, 99),
        errors=dict(errors),
        sent=sum(counted.commands.values()) - inside,
        inside=inside,
    )


def _added(reports: Sequence[Report]) -> Ledger:
    ledger = Ledger()
    for report in reports:
        ledger.started += report.ledger.started
        ledger.asked += report.ledger.asked
        ledger.queries += report.ledger.queries
    return ledger


def bursts_of(strategy: Strategy, bursts: Sequence[Observed]) -> Bursts:
    """Add up some bursts."""
    reports = [report for burst in bursts for report in burst.reports]
    counted = reduce(Reading.plus, (burst.counted for burst in bursts))
    return Bursts(
        load=load_of(strategy, reports, counted),
        executions=tuple(burst.counted.database.queries for burst in bursts),
    )


def traffic_of(strategy: Strategy, observed: Observed, *, trace: Trace, processes: int) -> Traffic:
    """Compare the fetches of each profile with theory."""
    fetches = [fetch for report in observed.reports for fetch in report.fetches]
    theory = partial(strategy.theory, processes=processes)
    return Traffic(
        load=load_of(strategy, observed.reports, observed.counted),
        profiles=trace.rows,
        spike_seconds=trace.spike_seconds,
        seconds=observed.seconds,
        popular=fetches_of_hot_user(trace, fetches, theory),
        others=fetches_of_others(trace, fetches, theory),
    )
