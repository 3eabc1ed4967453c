"""One run for each strategy, one after the other, on a server of their own."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import psycopg

from demo.environment import describe_environment
from demo.errors import InterruptedRunError
from demo.measure import Target, measure
from demo.options import SPARE_CONNECTIONS
from demo.progress import stage
from demo.schema import create_users, slow_users
from demo.strategies import STRATEGIES
from demo.summary import Comparison, summarise
from demo.traffic import make_trace
from servers.postgres import temporary_postgres

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rich.console import Console

    from demo.options import Options
    from demo.strategies import Strategy
    from demo.summary import Figures

T = TypeVar("T")

ROWS = 10_000
"""Users in the table."""


def compare(options: Options, console: Console) -> Comparison:
    """Start a server, send the same trace to the service with each strategy, and compare.

    The server is gone afterwards. Raises `DemoError` if an answer or a count is wrong, and
    `KeyboardInterrupt` or `InterruptedRunError` after Ctrl-C; each may be inside a group.
    """
    trace = make_trace(
        rate=options.rate, seconds=options.seconds, hot=options.hot, rows=ROWS, seed=options.seed
    )
    with ExitStack() as stack:
        with stage(console, "Starting PostgreSQL"):
            connections = options.pool + SPARE_CONNECTIONS
            server = stack.enter_context(temporary_postgres(max_connections=connections))
            create_users(server.dsn, rows=ROWS)
            target = Target(
                service_dsn=slow_users(
                    server.dsn, query_ms=options.query_ms, row_ms=options.row_ms
                ),
                counter_dsn=server.dsn,
                pool=options.pool,
            )

        def run(strategy: Strategy) -> Figures:
            with stage(console, strategy.title, seconds=trace.end) as progress:
                main = partial(measure, trace, target, strategy=strategy, progress=progress)
                recording = anyio.run(interruptible, main, backend=options.backend)
            return summarise(trace, recording, strategy.theory)

        return Comparison(
            options=options,
            trace=trace,
            environment=describe_environment(
                backend=options.backend, postgresql=_version_of(server.dsn)
            ),
            runs={strategy.name: run(strategy) for strategy in STRATEGIES},
        )


def _version_of(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        return connection.info.parameter_status("server_version") or "of unknown version"


async def interruptible(main: Callable[[], Awaitable[T]]) -> T:
    """Run `main()`; on Ctrl-C cancel it, let it clean up, and raise `InterruptedRunError`.

    A `KeyboardInterrupt` may come between any two steps of any task. Here the signal is received
    by a task of its own, so that no other is torn apart.
    """
    async with anyio.create_task_group() as tasks:
        watch = tasks.start_soon(_raise_at_interrupt)
        result = await main()
        watch.cancel()
    return result


async def _raise_at_interrupt() -> None:
    with anyio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            raise InterruptedRunError
