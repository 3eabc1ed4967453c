"""Random programs of caches: the same seed makes the same program, on every Python."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import NamedTuple

from proof.cache_plans import (
    TAGS,
    CacheProgram,
    Deed,
    Fetching,
    Options,
    Shelving,
    Use,
)
from proof.plans import NOW, WAYS, Delay
from proof.programs import random_end, sometimes, span

KEYS = "aaaabbcd"
"""Some more often than others: calls are to meet."""

DEPTH = 2
"""How deep calls are nested at most."""

DEEDS: dict[Deed, int] = {
    "get": 16,
    "get_many": 4,
    "peek": 2,
    "set": 2,
    "invalidate": 3,
    "invalidate_tag": 1,
    "clear": 1,
}
WRITING: dict[Deed, int] = {**DEEDS, "get_many": 1, "set": 4, "invalidate": 8}
ENDINGS = (16, 3, 4, 1)
"""How often work ends with a value, an error, one to be kept, or a foreign cancellation."""

FAILING = (4, 6, 1, 0)


class Mood(NamedTuple):
    """What there is much of in a program."""

    keys: str
    deeds: dict[Deed, int]
    endings: tuple[int, ...]


LONG_AFTER = Delay(60.0)
"""Work that lasts as long hangs: nobody's patience is enough."""


def random_cache_program(seed: int) -> CacheProgram:
    """Return the program of a seed."""
    random = Random(f"cache program {seed}")
    mood = Mood(
        keys=random.choice((KEYS, KEYS, "a")),
        deeds=random.choice((DEEDS, DEEDS, WRITING)),
        endings=random.choice((ENDINGS, ENDINGS, FAILING)),
    )
    calls = [_use(random, mood, DEPTH) for _ in range(random.randint(2, 12))]
    bursts = 0.25 if mood.endings is ENDINGS else 0.6
    calls += [_soon_after(random, call) for call in calls if sometimes(random, bursts)]
    return CacheProgram(
        calls=tuple(calls),
        end=random_end(random),
        batches=tuple(_fetching(random, mood, "", 0) for _ in range(random.randint(0, 4))),
        options=_moody(random, mood, _options(random)),
        draws=random.randrange(100),
    )


def _soon_after(random: Random, call: Use) -> Use:
    """Return the same call, made by somebody else about the same time."""
    at = Delay(call.at.seconds + random.choice((0.0, 0.0, 0.25)), random.randint(0, 8))
    return replace(call, at=at, cancel=None)


def _options(random: Random) -> Options:
    # Half of the programs have no store, nor anything that is drawn: then the oracle knows most.
    plain = sometimes(random, 0.5)
    return Options(
        ttl=random.choice((0.5, 0.5, 1.0, 2.5)),
        ttl_jitter=0.0 if plain else random.choice((0.0, 0.5, 1.0)),
        stale_while_revalidate=random.choice((0.0, 0.5, 1.0, 2.0)),
        stale_if_error=random.choice((0.0, 0.0, 0.5, 2.0)),
        refresh_ahead=0.0 if plain else random.choice((0.0, 1.0, 2.0)),
        kept=random.choice((None, 0.25, 0.5, 1.0)),
        missing=random.choice((None, None, 0.5)),
        max_entries=random.choice((1, 2, 100, 100, 100)),
        store=None if plain else _shelving(random),
        on_abandon=random.choice(("cancel", "cancel", "finish")),
        retries=sometimes(random, 0.2),
        flight_timeout=random.choice((0.5, 0.75, 1.0)) if sometimes(random, 0.2) else None,
        copies=sometimes(random, 0.2),
        context="owner" if sometimes(random, 0.2) else "caller",
        listens=sometimes(random, 0.3),
    )


def _moody(random: Random, mood: Mood, options: Options) -> Options:
    """Return options with which what there is much of can do harm."""
    if mood.endings is FAILING and sometimes(random, 0.5):
        return replace(options, ttl=0.5, stale_while_revalidate=2.0, max_entries=100, store=None)
    if mood.deeds is WRITING and sometimes(random, 0.5):
        store = Shelving(before=_pause(random), after=_pause(random))
        return replace(options, ttl=2.5, store=store)
    return options


def _shelving(random: Random) -> Shelving | None:
    if sometimes(random, 0.2):
        return None
    methods = ("get", "set", "delete", "delete_tag", "clear")
    failing = random.sample(methods, random.choice((0, 0, 1, 2)))
    return Shelving(before=_pause(random), after=_pause(random), failing=tuple(failing))


def _pause(random: Random) -> Delay:
    return Delay(random.choice((0.0, 0.25, 0.5, 0.75)), random.choice((0, 1, 2)))


def _use(random: Random, mood: Mood, depth: int) -> Use:
    deed = random.choices([*mood.deeds], [*mood.deeds.values()])[0]
    number = random.choice((1, 2, 2, 3)) if deed == "get_many" else 1
    asked = tuple(random.choices(mood.keys, k=number))
    return Use(
        do=deed,
        keys=tuple(dict.fromkeys(asked)),
        tag=random.choice("tu"),
        at=_moment(random) if depth == DEPTH else span(random),
        work=_fetching(random, mood, asked[0], depth) if deed == "get" else Fetching(),
        fresh=deed in {"get", "get_many"} and sometimes(random, 0.15),
        way=random.choice(WAYS),
        cancel=span(random) if sometimes(random, 0.25) else None,
        doomed=sometimes(random, 0.03),
    )


def _moment(random: Random) -> Delay:
    seconds = random.choice((0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0))
    return Delay(seconds, random.choice((0, 0, 1, 2, 3, 5)))


def _fetching(random: Random, mood: Mood, key: str, depth: int) -> Fetching:
    """Return what a function does for a key, or a batch for many if that is empty."""
    greater = "".join(each for each in TAGS if each > key) if key else ""
    nested = random.choice((0, 0, 0, 1, 2)) if greater and depth else 0
    return Fetching(
        lasts=_length(random),
        ending=random.choices(("value", "error", "kept", "foreign"), mood.endings)[0],
        without="" if key or sometimes(random, 0.6) else random.choice("abc"),
        cleanup=span(random) if sometimes(random, 0.3) else None,
        stubborn=sometimes(random, 0.1),
        calls=tuple(_use(random, mood._replace(keys=greater), depth - 1) for _ in range(nested)),
        together=sometimes(random, 0.5),
    )


def _length(random: Random) -> Delay:
    if sometimes(random, 0.2):
        return NOW
    return LONG_AFTER if sometimes(random, 0.04) else span(random)
