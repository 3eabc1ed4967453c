"""All cells, one after the other, on servers of their own."""

from __future__ import annotations

from contextlib import ExitStack
from time import perf_counter
from typing import TYPE_CHECKING

import psycopg

from benchmarks._environment import current_load, describe_environment
from demo.progress import stage
from demo.schema import create_users
from fleet.cell import Servers, measure_cell, measure_low
from fleet.document import Document
from fleet.options import command_of
from fleet.plan import FULL, QUICK
from fleet.strategies import LEASE, LEASE_AND_CACHE, LOCAL, STRATEGIES
from fleet.takeover import measure_takeovers
from fleet.traffic import ROWS, SPARE_ROWS
from servers.postgres import temporary_postgres
from servers.valkey import temporary_valkey

if TYPE_CHECKING:
    from rich.console import Console

    from fleet.options import Options

SPARE_CONNECTIONS = 10
"""For the counting, the set-up and what PostgreSQL keeps for superusers."""

LOW = (LOCAL, LEASE)
KILLED = tuple(each for each in STRATEGIES if each not in {LOCAL, LEASE_AND_CACHE})
"""Those whose processes are killed: a lease is the same with a cache, and locally nobody waits."""


def compare(options: Options, console: Console) -> Document:
    """Measure everything; the servers are gone afterwards.

    Raises `DemoError` if an answer or a count is wrong, or a worker has failed.
    """
    plan = QUICK if options.quick else FULL
    began = perf_counter()
    packages = {each.package for each in STRATEGIES} | {"asyncpg", "coredis", "redis"}
    environment = describe_environment(packages)
    with ExitStack() as stack:
        with stage(console, "Starting PostgreSQL and Valkey"):
            connections = plan.pool + SPARE_CONNECTIONS
            postgres = stack.enter_context(temporary_postgres(max_connections=connections))
            valkey = stack.enter_context(temporary_valkey())
            create_users(postgres.dsn, rows=ROWS + SPARE_ROWS)
        servers = Servers(dsn=postgres.dsn, valkey=valkey)
        with stage(console, "Hardly any two calls overlap"):
            low = {each.name: measure_low(each, plan, servers) for each in LOW}
        cells = []
        for strategy in STRATEGIES:
            for processes in plan.processes:
                with stage(console, f"{strategy.name}, {_count(processes)}"):
                    cells.append(measure_cell(strategy, processes, plan, servers))
        takeovers = {}
        for strategy in KILLED:
            with stage(console, f"{strategy.name}, killing {_count(plan.takeovers)}"):
                takeovers[strategy.name] = tuple(measure_takeovers(strategy, plan, servers))
        return Document(
            environment=environment,
            postgresql=_version_of(postgres.dsn),
            valkey=str(valkey.program),
            command=command_of(options),
            quick=options.quick,
            seconds=round(perf_counter() - began),
            load_after=current_load(),
            plan=plan,
            cells=tuple(cells),
            low=low,
            takeovers=takeovers,
        )


def _count(processes: int) -> str:
    return f"{processes} process{'' if processes == 1 else 'es'}"


def _version_of(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        return connection.info.parameter_status("server_version") or "of unknown version"
