"""Random programs: the same seed makes the same program, on every Python."""

from __future__ import annotations

from random import Random
from typing import Literal

from proof.plans import NOW, WAYS, Call, Delay, End, Forget, Policies, Program, Work

KEYS = "abc"
DEPTH = 2
"""How deep calls are nested at most."""


def random_program(seed: int) -> Program:
    """Return the program of a seed."""
    random = Random(f"program {seed}")
    calls = tuple(_call(random, KEYS, DEPTH) for _ in range(random.randint(1, 10)))
    forgets = random.choice((0, 0, 1, 2))
    return Program(
        calls=calls,
        forgets=tuple(Forget(_key(random, KEYS), moment(random)) for _ in range(forgets)),
        end=random_end(random),
        on_abandon=random.choice(("cancel", "cancel", "finish")),
        copies=sometimes(random, 0.2),
        context="owner" if sometimes(random, 0.2) else "caller",
        policies=_policies(random),
    )


def _policies(random: Random) -> Policies:
    # Most programs have none: then the oracle knows most.
    if sometimes(random, 2 / 3):
        return Policies()
    retry_on: tuple[tuple[Literal["error", "timeout"], ...], ...]
    retry_on = ((), ("error",), ("timeout",), ("error", "timeout"))
    return Policies(
        retry_on=random.choice(retry_on),
        tokens=random.choice((None, None, 1, 2)),
        flight_timeout=random.choice((None, None, 0.5, 0.75, 1.0)),
        max_join_age=random.choice((None, None, 0.25, 0.5)),
        max_waiters=random.choice((None, None, 1, 2, 3)),
        listens=sometimes(random, 0.5),
    )


def _call(random: Random, keys: str, depth: int) -> Call:
    key = _key(random, keys)
    timeout = random.choice((0.0, 0.25, 0.5, 1.0)) if sometimes(random, 0.15) else None
    return Call(
        key=key,
        at=moment(random),
        work=_work(random, key, depth),
        fresh=sometimes(random, 0.25),
        timeout=timeout,
        fallback=None if timeout is None or sometimes(random, 0.5) else span(random),
        way=random.choice(WAYS),
        cancel=span(random) if sometimes(random, 0.35) else None,
        doomed=sometimes(random, 0.03),
    )


def _work(random: Random, key: str, depth: int) -> Work:
    greater = KEYS[KEYS.index(key) + 1 :]
    nested = random.choice((0, 0, 0, 1, 2)) if greater and depth else 0
    return Work(
        lasts=NOW if sometimes(random, 0.1) else span(random),
        ending=random.choices(("value", "error", "foreign"), (8, 3, 1))[0],
        cleanup=span(random) if sometimes(random, 0.4) else None,
        stubborn=sometimes(random, 0.05),
        calls=tuple(_call(random, greater, depth - 1) for _ in range(nested)),
        together=sometimes(random, 0.5),
    )


def random_end(random: Random) -> End:
    """Return how and when the owner leaves: mostly late, and normally."""
    if sometimes(random, 0.5):
        return End()
    how = random.choice(("leave", "cancel", "fail"))
    at = Delay(random.choice((0.25, 0.5, 0.75, 1.0, 1.5)), random.choice((0, 1, 2, 3, 5)))
    return End(how, at, random.choice(WAYS))  # type: ignore[arg-type]


def _key(random: Random, keys: str) -> str:
    # One key more often than the others: calls are to meet.
    return keys[0] if sometimes(random, 0.6) else random.choice(keys)


def moment(random: Random) -> Delay:
    """Return when something is to happen: moments are few, for things to meet."""
    return Delay(random.choice((0.0, 0.0, 0.25, 0.5, 0.75, 1.0)), random.choice((0, 0, 1, 2, 3, 5)))


def span(random: Random) -> Delay:
    """Return how long something is to last."""
    return Delay(random.choice((0.0, 0.25, 0.25, 0.5, 1.0)), random.choice((0, 0, 1, 2, 4)))


def sometimes(random: Random, chance: float) -> bool:
    """Return whether something is to be, for which there is a chance."""
    return random.random() < chance
