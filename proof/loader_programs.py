"""Random programs of batch loaders: the same seed makes the same program, on every Python."""

from __future__ import annotations

from random import Random

from proof.loader_plans import OTHER, Batch, Bounds, Load, LoaderProgram
from proof.plans import NOW, WAYS, Forget
from proof.programs import moment, random_end, sometimes, span

KEYS = "aaabbcd"
"""Some more often than others: calls are to meet."""


def random_loader_program(seed: int) -> LoaderProgram:
    """Return the program of a seed."""
    random = Random(f"loader program {seed}")
    calls = tuple(_load(random, KEYS) for _ in range(random.randint(2, 10)))
    others = OTHER if sometimes(random, 0.3) else ""
    batches = tuple(_batch(random, others) for _ in range(random.randint(0, 6)))
    forgets = random.choice((0, 0, 1, 2))
    return LoaderProgram(
        calls=calls,
        forgets=tuple(Forget(random.choice(KEYS), moment(random)) for _ in range(forgets)),
        end=random_end(random),
        batches=batches,
        copies=sometimes(random, 0.2),
        context="owner" if sometimes(random, 0.2) else "caller",
        bounds=_bounds(random),
    )


def _bounds(random: Random) -> Bounds:
    # Of most programs the oracle knows most: without tokens and deadlines.
    plain = sometimes(random, 2 / 3)
    return Bounds(
        max_batch_size=random.choice((1, 2, 2, 3, 100)),
        max_delay=random.choice((0.0, 0.0, 0.25, 0.5)),
        max_concurrent_batches=random.choice((1, 1, 2, 4)),
        tokens=None if plain else random.choice((None, 1, 2)),
        flight_timeout=None if plain else random.choice((None, 0.5, 0.75, 1.0)),
        listens=sometimes(random, 0.3),
    )


def _load(random: Random, keys: str) -> Load:
    many = sometimes(random, 0.3)
    number = random.choice((0, 1, 2, 2, 3, 3, 4)) if many else 1
    return Load(
        keys=tuple(random.choices(keys, k=number)),
        many=many,
        at=moment(random),
        fresh=sometimes(random, 0.2),
        way=random.choice(WAYS),
        cancel=span(random) if sometimes(random, 0.3) else None,
        doomed=sometimes(random, 0.03),
    )


def _batch(random: Random, others: str) -> Batch:
    nested = random.choice((0, 0, 0, 0, 1, 2))
    return Batch(
        lasts=NOW if sometimes(random, 0.1) else span(random),
        ending=random.choices(("value", "error", "foreign", "nothing"), (12, 2, 1, 1))[0],
        without=random.choice(KEYS) if sometimes(random, 0.2) else "",
        failing=random.choice(KEYS) if sometimes(random, 0.2) else "",
        cleanup=span(random) if sometimes(random, 0.4) else None,
        stubborn=sometimes(random, 0.1),
        calls=tuple(
            _load(random, others if others and sometimes(random, 0.5) else KEYS)
            for _ in range(nested)
        ),
        together=sometimes(random, 0.5),
    )
