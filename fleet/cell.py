"""One strategy with so many processes, on servers that nobody else uses meanwhile."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from demo.schema import slow_users
from fleet.counting import read
from fleet.crew import crew
from fleet.figures import Bursts, Observed, Traffic, bursts_of, traffic_of
from fleet.sending import Sending
from fleet.site import Setting
from fleet.traffic import ROWS, burst, spike, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demo.traffic import Trace
    from fleet.crew import Worker
    from fleet.plan import Plan
    from fleet.sending import Report
    from fleet.strategies import Strategy
    from servers.valkey import ValkeyServer

LEAD = 0.1
"""Seconds between the last preparation and a trace's zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The servers that all cells use, one after the other."""

    dsn: str
    valkey: ValkeyServer

    def setting(self, strategy: Strategy, *, ttl: float) -> Setting:
        """Return what the processes have to know that use this strategy here."""
        valkey = self.valkey
        return Setting(strategy=strategy.name, host=valkey.host, port=valkey.port, ttl=ttl)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One strategy with so many processes, in figures."""

    strategy: str
    processes: int
    bursts: Bursts
    traffic: Traffic


class Fleet:
    """The processes of one cell, ready to send."""

    def __init__(self, strategy: Strategy, workers: Sequence[Worker], servers: Servers) -> None:
        self._strategy = strategy
        self._workers = workers
        self._servers = servers

    def send(self, traces: Sequence[Trace]) -> Observed:
        """Let each process send its trace, all from the same moment on."""
        servers = self._servers
        before = read(servers.dsn, servers.valkey)
        start = perf_counter() + LEAD
        for worker, trace in zip(self._workers, traces, strict=True):
            worker.say((trace, start))
        reports: list[Report] = [worker.hear() for worker in self._workers]
        return Observed(
            reports=reports,
            counted=read(servers.dsn, servers.valkey).since(before),
            seconds=max(report.end for report in reports) - start,
        )


@contextmanager
def opened(strategy: Strategy, processes: int, plan: Plan, servers: Servers) -> Iterator[Fleet]:
    """Open the strategy in so many processes, which know nothing of what was before."""
    servers.valkey.command("FLUSHALL")
    service_dsn = slow_users(servers.dsn, query_ms=plan.query_ms)
    setting = servers.setting(strategy, ttl=strategy.ttl)
    with crew(processes) as workers:
        for position, worker in enumerate(workers):
            worker.say(
                Sending(
                    setting=setting,
                    dsn=service_dsn,
                    pool=max(1, plan.pool // processes),
                    warm_up=plan.warm_up,
                    position=position,
                )
            )
        for worker in workers:
            worker.hear()  # that it is ready
        yield Fleet(strategy, workers, servers)
        for worker in workers:
            worker.say(None)


def measure_cell(strategy: Strategy, processes: int, plan: Plan, servers: Servers) -> Cell:
    """Measure bursts, one after the other, and then the traffic."""
    trace = spike(rate=plan.rate, seconds=plan.seconds, hot=plan.hot)
    with opened(strategy, processes, plan, servers) as fleet:
        slow_users(servers.dsn, query_ms=plan.burst_query_ms)
        users = range(ROWS + 1, ROWS + 1 + plan.bursts)
        bursts = [
            fleet.send(burst(user, calls=plan.burst_calls, processes=processes)) for user in users
        ]
        slow_users(servers.dsn, query_ms=plan.query_ms)
        observed = fleet.send(split(trace, processes))
    return Cell(
        strategy=strategy.name,
        processes=processes,
        bursts=bursts_of(strategy, bursts),
        traffic=traffic_of(strategy, observed, trace=trace, processes=processes),
    )


def measure_low(strategy: Strategy, plan: Plan, servers: Servers) -> Traffic:
    """Measure traffic in which hardly any two calls for one key overlap."""
    processes = plan.low_processes
    trace = spike(rate=plan.low_rate, seconds=plan.low_seconds, hot=0.0)
    with opened(strategy, processes, plan, servers) as fleet:
        observed = fleet.send(split(trace, processes))
    return traffic_of(strategy, observed, trace=trace, processes=processes)
