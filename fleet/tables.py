"""The tables: what a run has found, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from demo.table import number
from fleet.document import Document
from fleet.figures import Traffic
from fleet.strategies import LEASE, LOCAL, STRATEGIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; the first `left` columns are words, the others figures."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1


def burst_table(document: Document) -> Table:
    """Return what a burst costs: executions with any number of processes, the rest with most."""
    plan = document.plan
    most = plan.processes[-1]
    return Table(
        heads=[
            "executions of one burst",
            *(f"{count} process{'' if count == 1 else 'es'}" for count in plan.processes),
            f"P50 ms with {most}",
            "P99 ms",
            "commands",
            "in scripts",
        ],
        rows=[[each.name, *_burst_row(document, each.name)] for each in STRATEGIES],
    )


def _burst_row(document: Document, name: str) -> Iterator[str]:
    for cell in document.of(name):
        mean, most = fmean(cell.bursts.executions), max(cell.bursts.executions)
        yield number(mean) if mean == most else f"{number(mean)} (≤ {most})"
    load = document.cell(name, document.plan.processes[-1]).bursts.load
    yield number(load.p50_ms)
    yield number(load.p99_ms)
    for commands in (load.sent, load.inside):
        yield number(commands / document.plan.bursts)


def traffic_table(document: Document) -> Table:
    """Return what the traffic costs, with each number of processes."""
    return Table(
        heads=[
            "processes",
            "",
            "queries/s",
            "popular, fetches/s",
            "in theory",
            "P50 ms",
            "P99 ms",
            "commands/s",
            "in scripts/s",
            "errors",
        ],
        rows=[
            [str(processes), each.name, *_traffic_row(document.cell(each.name, processes).traffic)]
            for processes in document.plan.processes
            for each in STRATEGIES
        ],
        left=2,
    )


def _traffic_row(traffic: Traffic) -> Iterator[str]:
    yield number(traffic.queries_per_second)
    yield number(traffic.popular.per_second)
    yield number(traffic.popular.theory_per_second)
    yield number(traffic.load.p50_ms)
    yield number(traffic.load.p99_ms)
    yield number(traffic.sent_per_second)
    yield number(traffic.inside_per_second)
    yield str(sum(traffic.load.errors.values()) or "")


def lease_table(document: Document) -> Table:
    """Return what a lease saves and what it adds, in the traffic and in that of few calls."""
    plan = document.plan
    rows = [
        _added(
            "popular profile",
            processes,
            document.cell(LOCAL.name, processes).traffic,
            document.cell(LEASE.name, processes).traffic,
        )
        for processes in plan.processes
    ]
    low = document.low
    rows.append(_added("few calls", plan.low_processes, low[LOCAL.name], low[LEASE.name]))
    return Table(
        heads=[
            "traffic",
            "processes",
            "L·S/N of a key",
            "queries/s, local only",
            "with the lease",
            "P50 ms, local only",
            "with the lease",
            "P99 ms, local only",
            "with the lease",
        ],
        rows=rows,
    )


def _added(name: str, processes: int, local: Traffic, lease: Traffic) -> list[str]:
    popular = local.popular.arrivals_per_second > local.others.arrivals_per_second
    rate, profiles = (local.popular, 1) if popular else (local.others, local.profiles - 1)
    overlap = rate.arrivals_per_second / profiles * rate.mean_ms / 1000 / processes
    return [
        name,
        str(processes),
        f"{overlap:.2g}",
        *(number(each.queries_per_second) for each in (local, lease)),
        *(number(each.load.p50_ms) for each in (local, lease)),
        *(number(each.load.p99_ms) for each in (local, lease)),
    ]


def takeover_table(document: Document) -> Table:
    """Return what became of the processes that were killed."""
    return Table(
        heads=[
            "",
            "took over",
            "median, s",
            "maximum, s",
            "executions afterwards",
            "executions of others before",
        ],
        rows=[[name, *_takeover_row(document, name)] for name in document.takeovers],
    )


def _takeover_row(document: Document, name: str) -> Iterator[str]:
    takeovers = document.takeovers[name]
    seconds = [each.seconds for each in takeovers if each.seconds is not None]
    waited = not any(each.not_waiting for each in takeovers)
    yield f"{len(seconds)} of {len(takeovers)}" if waited else "nobody waits"
    yield f"{median(seconds):.2f}" if waited and seconds else ""
    yield f"{max(seconds):.2f}" if waited and seconds else ""
    yield number(fmean(each.executions for each in takeovers))
    yield number(fmean(each.not_waiting for each in takeovers))


def settings_table(document: Document) -> Table:
    """Return how each was used, and for how long it keeps a value."""
    packages = document.environment.packages
    return Table(
        heads=["", "version", "as it was used", "value kept, s"],
        rows=[
            [
                each.name,
                f"{each.package} {packages[each.package]}",
                each.settings,
                f"{each.kept:g}",
            ]
            for each in STRATEGIES
        ],
        left=3,
    )
