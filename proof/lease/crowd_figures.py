"""The figures of docs/fleet-size.md: which crowds are observed, and the tables made of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import starmap

from proof.lease.crowd import Crowd, Observed, observe
from proof.lease.crowd_theory import expected

PROCESSES = (1, 3, 10, 30, 100, 300, 1000)
RATES = (10.0, 100.0, 1000.0, 10_000.0)
WAITING = ((0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (1.0, 0.2), (1.0, 0.05))
"""How many messages are lost, and the poll interval."""
COMMON = Crowd(processes=100, rate=1000.0, seconds=0.05)
"""What is not varied."""

Seen = dict[Crowd, Observed]


def crowds(lasts: float) -> list[Crowd]:
    """Return all that are observed, those that take longest first."""
    common = replace(COMMON, lasts=lasts)
    each = [replace(common, processes=number) for number in PROCESSES]
    each += [replace(common, rate=rate) for rate in RATES]
    both = [replace(one, leased=leased) for one in each for leased in (True, False)]
    both += _waiting(common)
    return sorted(set(both), key=lambda one: one.leased * one.processes * one.rate, reverse=True)


def _waiting(common: Crowd) -> list[Crowd]:
    return [
        replace(common, lost_messages=lost, poll_interval=interval) for lost, interval in WAITING
    ]


def observe_all(some: Iterable[Crowd]) -> Seen:
    """Observe crowds, on all cores."""
    some = list(some)
    with ProcessPoolExecutor() as pool:
        return dict(zip(some, pool.map(observe, some), strict=True))


def tables(seen: Seen, lasts: float) -> str:
    """Return the three tables."""
    common = replace(COMMON, lasts=lasts)
    by_size = {f"{n:,}": replace(common, processes=n) for n in PROCESSES}
    by_rate = {f"{rate:,.0f}": replace(common, rate=rate) for rate in RATES}
    parts = [
        _both("N", by_size, seen),
        _both("L", by_rate, seen),
        _by_waiting(_waiting(common), seen),
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def _both(what: str, by: dict[str, Crowd], seen: Seen) -> Iterator[str]:
    yield (
        f"| {what} | each for itself: executions | theory | with a lease: executions | theory "
        "| requests | theory | messages | theory | mean of a call, each for itself | with a lease |"
    )
    yield "|--:" * 11 + "|"
    for name, crowd in by.items():
        alone = replace(crowd, leased=False)
        yield _row(
            name,
            number(seen[alone].executions),
            number(expected(alone).executions),
            *_with_theory(crowd, seen),
            _ms(seen[alone].mean_latency),
            _ms(seen[crowd].mean_latency),
        )


def _with_theory(crowd: Crowd, seen: Seen) -> Iterator[str]:
    one, theory = seen[crowd], expected(crowd)
    pairs = zip((one.executions, one.requests, one.messages), theory, strict=True)
    for pair in pairs:
        yield from map(number, pair)


def _by_waiting(some: list[Crowd], seen: Seen) -> Iterator[str]:
    yield (
        "| messages lost | `poll_interval` | executions | requests | mean of a call "
        "| 1 in 100 is slower than |"
    )
    yield "|--:" * 6 + "|"
    yield from starmap(
        _row,
        (
            (
                f"{one.lost_messages:.0%}".replace("%", " %"),
                f"{one.poll_interval:g} s",
                number(seen[one].executions),
                number(seen[one].requests),
                _ms(seen[one].mean_latency),
                _ms(seen[one].p99_latency),
            )
            for one in some
        ),
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def number(value: float) -> str:
    """Write a number as precisely as it is of interest."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def _ms(seconds: float) -> str:
    return f"{number(1000 * seconds)} ms"
