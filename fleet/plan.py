"""How much is measured: all of it, or a smoke run whose figures mean nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The sizes of a run."""

    processes: tuple[int, ...] = (1, 2, 4, 8)
    """Worker processes that share the traffic."""

    rate: float = 2400.0
    """Mean arrivals per second, of all processes together."""

    hot: float = 0.95
    """Fraction of the arrivals that ask for the one popular profile."""

    seconds: float = 2.5
    """Length of the traffic."""

    query_ms: float = 15.0
    """Milliseconds that the server adds to each query of the traffic."""

    bursts: int = 6
    """Bursts, each of calls for one key that nobody has asked for yet."""

    burst_calls: int = 200
    """Calls of a burst, of all processes together."""

    burst_query_ms: float = 50.0
    """Milliseconds that the server adds to each query of a burst.

    So long that even on a busy machine all processes have made their calls before the first query
    has ended: what comes later is no part of the burst.
    """

    warm_up: float = 0.2
    """Seconds of traffic that each process sends before anything is measured."""

    pool: int = 32
    """Connections to the database, of all processes together."""

    low_processes: int = 4
    """Worker processes of the traffic in which a lease does not pay."""

    low_rate: float = 200.0
    """Its mean arrivals per second, for all users evenly."""

    low_seconds: float = 5.0
    """Its length."""

    takeovers: int = 30
    """Processes that are killed, for each strategy."""

    at_once: int = 15
    """How many of them run at a time, each with a key of its own."""

    followers: int = 3
    """Processes that wait for each of those keys."""

    follower_calls: int = 5
    """Calls that wait for a key in each of them."""

    takeover_ttl: float = 1.0
    """Seconds that leases and locks last there."""


FULL = Plan()
QUICK = Plan(
    processes=(2,),
    rate=200,
    seconds=0.2,
    query_ms=5,
    bursts=1,
    burst_calls=20,
    burst_query_ms=20,
    warm_up=0.05,
    pool=4,
    low_processes=2,
    low_seconds=0.2,
    takeovers=1,
    at_once=1,
    followers=1,
    follower_calls=2,
    takeover_ttl=0.3,
)
