"""A comparison with figures made up for the tests of what is shown."""

from __future__ import annotations

from demo.environment import Environment
from demo.figures import Point
from demo.options import Options
from demo.strategies import STRATEGIES
from demo.summary import Comparison, Figures
from demo.theory import FetchRate
from demo.traffic import make_trace


def figures(*, factor: float) -> Figures:
    """Return figures whose load and latencies are `factor` times the least."""
    return Figures(
        requests=600,
        spike_requests=480,
        server_queries=round(40 * factor),
        client_queries=round(40 * factor),
        spike_queries=round(24 * factor),
        queries_per_second=24 * factor,
        p50_ms=8 * factor,
        p95_ms=15 * factor,
        p99_ms=16 * factor,
        pool_utilisation=0.03 * factor,
        error_rate=0.0025 if factor > 1 else 0,
        errors={"OSError": 1} if factor > 1 else {},
        rows_per_query=1.5,
        popular=FetchRate(
            arrivals_per_second=400, per_second=54.3, mean_ms=16, theory_per_second=54.1
        ),
        others=FetchRate(
            arrivals_per_second=80, per_second=78.9, mean_ms=16.5, theory_per_second=79.2
        ),
        lag_p99_ms=1.5,
        lag_max_ms=2.5,
        p99_series_ms=tuple(Point(0.25 * at, 16 * factor) for at in range(1, 10)),
        queries_series=tuple(Point(0.25 * at, 20 * factor) for at in range(1, 10)),
    )


def comparison() -> Comparison:
    """Return a comparison of runs; the figures of each are half of those of the one before."""
    options = Options(rate=480, seconds=1)
    return Comparison(
        options=options,
        trace=make_trace(rate=480, seconds=1, hot=0.95, rows=100, seed=1),
        environment=Environment(
            python="CPython 3.13.0",
            system="Linux x86_64",
            cpu_count=2,
            backend="asyncio",
            driver="asyncpg 0.30.0",
            postgresql="18.1",
            anyio="4.14.0",
            anyflight="0.1.0",
        ),
        runs={
            strategy.name: figures(factor=32 / 2**position)
            for position, strategy in enumerate(STRATEGIES)
        },
    )
