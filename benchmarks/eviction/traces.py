"""Who asks for what: sequences of keys, the same in each run.

Popularity follows Zipf's law where nothing else is said: the key of rank r is asked for in
proportion to 1 / r ** exponent, and requests are independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from random import Random

LENGTH = 300_000
"""Requests of a trace; scans come on top."""
KEYS = 50_000
ONE_HIT = 10_000_000
"""Keys from here on are asked for once."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A kind of traffic.

    :ivar make: returns the keys for a source of chance and a number of requests
    :ivar weights: how likely each key is, where requests are independent
    """

    name: str
    text: str
    make: Callable[[Random, int], list[int]]
    weights: tuple[float, ...] = ()


def zipf_weights(exponent: float, keys: int) -> tuple[float, ...]:
    """Return how likely each rank is, the most popular first."""
    raw = [1 / rank**exponent for rank in range(1, keys + 1)]
    total = sum(raw)
    return tuple(each / total for each in raw)


def _draw(weights: tuple[float, ...], chance: Random, length: int) -> list[int]:
    return chance.choices(range(len(weights)), cum_weights=list(accumulate(weights)), k=length)


def _scans(chance: Random, length: int) -> list[int]:
    every, long = max(length // 20, 1), max(length // 40, 1)
    keys: list[int] = []
    for index, key in enumerate(_draw(zipf_weights(0.9, KEYS), chance, length)):
        keys.append(key)
        if index % every == every // 2:
            first = ONE_HIT + len(keys)
            keys.extend(range(first, first + long))
    return keys


def _one_hits(chance: Random, length: int) -> list[int]:
    popular = _draw(zipf_weights(0.9, KEYS), chance, length)
    return [
        ONE_HIT + index if chance.random() < 0.4 else key  # noqa: PLR2004 - as the text says
        for index, key in enumerate(popular)
    ]


def _shifts(chance: Random, length: int) -> list[int]:
    keys, period = 10_000, max(length // 10, 1)
    drawn = _draw(zipf_weights(1.0, keys), chance, length)
    return [key + index // period * keys for index, key in enumerate(drawn)]


def _drift(chance: Random, length: int) -> list[int]:
    drawn = _draw(zipf_weights(1.0, 20_000), chance, length)
    return [key + index // 20 for index, key in enumerate(drawn)]


def _loop(_: Random, length: int) -> list[int]:
    return [index % 12_000 for index in range(length)]


def _zipf(exponent: float) -> Trace:
    weights = zipf_weights(exponent, KEYS)
    text = f"{KEYS:,} keys, exponent {exponent}"
    return Trace(f"Zipf {exponent}", text, partial(_draw, weights), weights)


TRACES = (
    *map(_zipf, (0.6, 0.8, 1.0, 1.2)),
    Trace(
        "scans",
        "Zipf 0.9; twenty times a scan of 7,500 keys that nobody asks for again",
        _scans,
    ),
    Trace("one-hit keys", "Zipf 0.9; four requests in ten are for a key of their own", _one_hits),
    Trace("shifts", "Zipf 1.0 over 10,000 keys; ten times all keys are replaced by new", _shifts),
    Trace("drift", "Zipf 1.0 over 20,000 keys; every 20 requests the most popular leaves", _drift),
    Trace("loop", "12,000 keys, one after the other, again and again", _loop),
)
