"""Random programs of leases: the same seed makes the same program, on every Python."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import get_args

from proof.lease.plans import (
    Call,
    Ending,
    Invalidation,
    Kind,
    LeaseProgram,
    Net,
    Process,
    Times,
    Trouble,
    Work,
)
from proof.programs import sometimes

RATES = (1.0, 1.0, 1.0, 1 - 1 / 16, 1 + 1 / 16)
"""Of clocks; a lease bears one that counts a tenth less than the server's."""
DELAYS = ((0.0,), (0.0, 1 / 64), (1 / 64, 1 / 16), (1 / 64, 1 / 16, 1 / 4), (1 / 64, 1 / 2, 1.0))
ENDINGS: tuple[Ending, ...] = get_args(Ending)
OF_PROCESSES: tuple[Kind, ...] = ("kill", "pause", "stop", "drop", "deafen", "silence", "refuse")
OF_SERVER: tuple[Kind, ...] = ("drop", "deafen", "silence", "refuse", "restart", "forget")


def random_lease_program(seed: int) -> LeaseProgram:
    """Return the program of a seed."""
    random = Random(f"lease program {seed}")
    keys = random.choice(("a", "a", "a", "ab"))
    number = random.choice((1, 2, 2, 3, 3, 4))
    times = _times(random)
    # Some programs have one sort of trouble, or none: of these the rules know most.
    sort = random.choice(("calm", "kills", "pauses", "net", "server", "all"))
    return LeaseProgram(
        processes=tuple(_process(random, keys, times) for _ in range(number)),
        troubles=tuple(_troubles(random, sort, number)),
        net=_net(random, lossy=sort in {"net", "all"}),
        times=times,
        luck=seed,
    )


def _times(random: Random) -> Times:
    return Times(
        ttl=random.choice((1.0, 2.0, 4.0)),
        poll_interval=random.choice((0.5, 1.0, 2.0)),
        outcome_ttl=random.choice((2.0, 4.0)),
        request_timeout=random.choice((0.25, 0.5, 1.0)),
        retry_interval=random.choice((0.5, 1.0)),
    )


def _process(random: Random, keys: str, times: Times) -> Process:
    calls = random.choice((1, 1, 2, 2, 3))
    invalidations = random.choice((0, 0, 0, 1, 2))
    return Process(
        calls=tuple(_call(random, keys, times) for _ in range(calls)),
        invalidations=tuple(
            _invalidation(random, random.choice(keys), times) for _ in range(invalidations)
        ),
        opens=random.choice((0.0, 0.0, 0.5)),
        rate=random.choice(RATES),
        coalesces=sometimes(random, 0.4),
        on_lost="finish" if sometimes(random, 0.2) else "cancel",
        on_unreachable="raise" if sometimes(random, 0.2) else "run",
    )


def _invalidation(random: Random, key: str, times: Times) -> Invalidation:
    then = replace(_call(random, key, times), at=0.0) if sometimes(random, 0.6) else None
    return Invalidation(key=key, at=_moment(random), then=then)


def _call(random: Random, keys: str, times: Times) -> Call:
    return Call(
        key=random.choice(keys),
        at=_moment(random),
        work=_work(random, times),
        fresh=sometimes(random, 0.25),
        cancel=_moment(random) if sometimes(random, 0.2) else None,
    )


def _work(random: Random, times: Times) -> Work:
    return Work(
        lasts=times.ttl * random.choice((0.0, 1 / 8, 1 / 4, 1 / 2, 1.0, 1.5)),
        ending=random.choices(ENDINGS, (10, 3, 1, 1, 1))[0],
        cleanup=random.choice((0.0, 0.0, 0.25)),
        stubborn=sometimes(random, 0.1),
    )


def _net(random: Random, *, lossy: bool) -> Net:
    def chance() -> float:
        return random.choice((0.0, 0.0, 0.1, 0.3)) if lossy else 0.0

    return Net(
        delays=random.choice(DELAYS if lossy else DELAYS[:4]),
        lost_requests=chance(),
        lost_answers=chance(),
        lost_messages=max(chance(), chance()),
        cuts=chance(),
    )


def _troubles(random: Random, sort: str, number: int) -> list[Trouble]:
    if sort in {"calm", "net"}:
        return []
    troubles: list[Trouble] = []
    for _ in range(random.choice((1, 1, 2, 3))):
        server = sort == "server" or (sort == "all" and sometimes(random, 0.4))
        kind: Kind
        if sort in {"kills", "pauses"}:
            kind = "kill" if sort == "kills" else "pause"
        else:
            kind = random.choice(OF_SERVER if server else OF_PROCESSES)
        troubles.append(
            Trouble(
                kind=kind,
                whom=None if server else random.randrange(number),
                at=_moment(random),
                lasts=random.choice((0.25, 1.0, 2.0, 5.0)),
            )
        )
    return troubles


def _moment(random: Random) -> float:
    """Return when something is to happen: mostly at one of few moments, for things to meet."""
    little = random.choice((0.0, 0.0, 0.0, 1 / 128, 1 / 64, 1 / 16))
    return little + random.choice((0.0, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0))
