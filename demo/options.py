"""The command line: every value is checked before anything has started."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

BACKENDS = ("asyncio", "trio")

MAX_POOL = 100
"""The server is started for so many connections of the pool, and `SPARE_CONNECTIONS` more."""

SPARE_CONNECTIONS = 10
"""For the sampler, the set-up and what PostgreSQL keeps for superusers."""

MIN_SPIKE_REQUESTS = 20
"""With fewer requests a percentile of the spike says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one run of the demo is asked to do."""

    backend: str = "asyncio"
    """The event loop that anyio runs on."""

    rate: float = 2400.0
    """Mean arrivals per second during the spike."""

    query_ms: float = 15.0
    """Milliseconds that the server adds to each query."""

    row_ms: float = 0.3
    """Milliseconds that the server adds for each row of a query: 2 % of those of the query.

    The undelayed table adds 2 microseconds for a row, to 40 of a query over a Unix socket. Over a
    network with a round trip of 0.1 milliseconds, a short one, that is 2 % too.
    """

    pool: int = 30
    """Connections that the service holds open."""

    hot: float = 0.95
    """Fraction of the spike's requests that ask for the one popular profile."""

    seed: int = 42
    """Where the traffic's random numbers start."""

    seconds: float = 5.0
    """Length of the spike; the calm parts before and after it follow from it."""

    output: Path = Path("demo-results")
    """The folder that receives the picture and the figures."""


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; a wrong value exits with status 2 and says what is allowed."""
    parser = _parser()
    given = parser.parse_args(arguments)
    requests = given.rate * given.seconds
    if not requests >= MIN_SPIKE_REQUESTS:
        parser.error(
            f"--rate times --seconds must give a spike of at least {MIN_SPIKE_REQUESTS} requests, "
            f"got {given.rate:g}/s for {given.seconds:g} s, which is {requests:g}"
        )
    return Options(**vars(given))


def _parser() -> argparse.ArgumentParser:
    """Build the parser; the defaults are those of `Options`."""
    default = Options()
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Measure one service under the same traffic without coalescing, coalesced, "
        "coalesced and batched, and coalesced and cached. It takes about a minute.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--backend", default=default.backend, choices=BACKENDS, help="event loop")
    add("--rate", default=default.rate, type=_positive, help="requests per second in the spike")
    add("--query-ms", default=default.query_ms, type=_positive, help="delay of a query, ms")
    add("--row-ms", default=default.row_ms, type=_delay, help="delay of a row of a query, ms")
    add("--pool", default=default.pool, type=_pool, help=f"connections, 1 to {MAX_POOL}")
    add("--hot", default=default.hot, type=_fraction, help="share of the one popular profile, 0..1")
    add("--seed", default=default.seed, type=_seed, help="seed of the traffic")
    add("--seconds", default=default.seconds, type=_positive, help="length of the spike, s")
    add("--output", default=default.output, type=_folder, help="folder for picture and figures")
    return parser


def _checked(
    text: str, *, convert: Callable[[str], T], allowed: Callable[[T], bool], meaning: str
) -> T:
    """Convert `text`; what cannot be converted or is not allowed is refused in the same words."""
    try:
        value = convert(text)
    except ValueError:
        pass
    else:
        if allowed(value):
            return value
    raise argparse.ArgumentTypeError(f"must be {meaning}, got {text!r}")


def _positive(text: str) -> float:
    return _checked(
        text,
        convert=float,
        allowed=lambda value: 0 < value < math.inf,
        meaning="a finite number above 0",
    )


def _delay(text: str) -> float:
    return _checked(
        text,
        convert=float,
        allowed=lambda value: 0 <= value < math.inf,
        meaning="a finite number from 0 up",
    )


def _fraction(text: str) -> float:
    return _checked(
        text,
        convert=float,
        allowed=lambda value: 0 <= value <= 1,
        meaning="a number from 0 to 1",
    )


def _pool(text: str) -> int:
    return _checked(
        text,
        convert=int,
        allowed=lambda value: 1 <= value <= MAX_POOL,
        meaning=f"a whole number from 1 to {MAX_POOL}, what the server allows",
    )


def _seed(text: str) -> int:
    return _checked(
        text, convert=int, allowed=lambda value: value >= 0, meaning="a whole number from 0 up"
    )


def _folder(text: str) -> Path:
    return _checked(
        text,
        convert=Path,
        allowed=_can_be_a_folder,
        meaning="a folder, or a path where one can be made",
    )


def _can_be_a_folder(path: Path) -> bool:
    """Whether `path` is a folder or could become one: the nearest thing that exists is a folder."""
    absolute = path.absolute()
    nearest = next(each for each in (absolute, *absolute.parents) if each.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK)
