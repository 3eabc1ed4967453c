"""Random programs of leases: the same seed makes the same program, on every Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import get_args

from proof.lease.plans import (
    Call,
    Ending,
    Forget,
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

RATES = (1.0, 1.0, 1.0, 1 - 1 / 16, 1 - 3 / 32, 1 + 1 / 16)
"""Of clocks; a lease bears one that counts a tenth less than the server's."""
LASTS = (0.25, 1.0, 2.0, 5.0)
DELAYS = ((0.0,), (0.0, 1 / 64), (1 / 64, 1 / 16), (1 / 64, 1 / 16, 1 / 4), (1 / 64, 1 / 2, 1.0))
SLOW = (1 / 64, 1 / 64, 1 / 4)
PARTS = (0.0, 1 / 8, 1 / 4, 1 / 2, 1.0, 1.5)
"""How long work lasts, in times to live."""
ENDINGS: tuple[Ending, ...] = get_args(Ending)
SORTS = (
    *("calm", "writes", "kills", "kills", "pauses", "cut off", "cut off"),
    *("net", "server", "all"),
)
OF_PROCESSES: tuple[Kind, ...] = (
    *("kill", "pause", "stop", "drop", "mute", "deafen", "silence", "refuse"),
)
OF_SERVER: tuple[Kind, ...] = (
    *("drop", "mute", "deafen", "silence", "refuse", "restart", "forget"),
)


def random_lease_program(seed: int) -> LeaseProgram:
    """Return the program of a seed."""
    return Dice(Random(f"lease program {seed}")).program(seed)


class Dice:
    """Draws the parts of one program.

    Some programs have one sort of trouble, or none: of these the rules know most.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._keys = random.choice(("a", "a", "a", "ab"))
        self._processes = random.choice((1, 2, 2, 3, 3, 4))
        self._sort = random.choice(SORTS)
        self._writes = self._sort == "writes" or self._sometimes(0.35)
        self._span = random.choice((0.25, 1.0, 3.0))
        self._net = self._draw_net(lossy=self._sort in {"net", "all"})
        self._times = self._draw_times()

    def program(self, luck: int) -> LeaseProgram:
        """Return the whole."""
        return LeaseProgram(
            processes=tuple(self._process() for _ in range(self._processes)),
            troubles=tuple(self._troubles()),
            net=self._net,
            times=self._times,
            luck=luck,
        )

    def _draw_net(self, *, lossy: bool) -> Net:
        def chance() -> float:
            return self._random.choice((0.0, 0.0, 0.05, 0.2)) if lossy else 0.0

        return Net(
            delays=self._delays(lossy=lossy),
            lost_requests=chance(),
            lost_answers=chance(),
            lost_messages=2 * chance() if lossy else self._random.choice((0.0, 0.0, 0.0, 0.5)),
            cuts=chance(),
        )

    def _delays(self, *, lossy: bool) -> tuple[float, ...]:
        if self._sort in {"writes", "cut off"}:  # where it matters what is on its way
            return SLOW
        return self._random.choice(DELAYS if lossy else DELAYS[:4])

    def _draw_times(self) -> Times:
        random, lossy = self._random, self._net.lost_requests or self._net.lost_answers
        # Where the network does no harm, nor do these.
        enough = [each for each in (0.25, 0.5, 1.0) if lossy or each > 2 * self._net.slowest]
        return Times(
            ttl=1.0 if self._sort == "cut off" else random.choice((1.0, 2.0, 4.0)),
            poll_interval=random.choice((0.5, 1.0, 2.0)),
            outcome_ttl=random.choice((2.0, 4.0)),
            request_timeout=random.choice(enough or [1.0]),
            retry_interval=random.choice((0.5, 1.0)),
        )

    def _process(self) -> Process:
        random = self._random
        calls = random.choice((1, 1, 2, 2, 3))
        invalidations = random.choice((0, 1, 1, 2)) if self._writes else 0
        coalesces = self._sometimes(0.8 if self._sort == "writes" else 0.4)
        forgets = random.choice((0, 0, 0, 1)) if coalesces else 0
        return Process(
            calls=tuple(self._call() for _ in range(calls)),
            invalidations=tuple(self._invalidation() for _ in range(invalidations)),
            opens=random.choice((0.0, 0.0, 0.5)),
            rate=random.choice(RATES),
            coalesces=coalesces,
            forgets=tuple(Forget(key=self._key(), at=self._moment()) for _ in range(forgets)),
            on_abandon="finish" if self._sometimes(0.2) else "cancel",
            flight_timeout=random.choice((None, None, None, 1.0)) if coalesces else None,
            on_lost="finish" if self._sometimes(0.2) else "cancel",
            on_unreachable="raise" if self._sometimes(0.2) else "run",
        )

    def _invalidation(self) -> Invalidation:
        key = self._key()
        then = replace(self._call(), key=key, at=0.0) if self._sometimes(0.7) else None
        return Invalidation(key=key, at=self._moment(), then=then)

    def _call(self) -> Call:
        return Call(
            key=self._key(),
            at=self._moment(),
            work=self._work(),
            fresh=self._sometimes(0.25),
            cancel=self._moment() if self._sometimes(0.15) else None,
        )

    def _work(self) -> Work:
        random = self._random
        # Who is cut off is to hold a lease, and for longer than it lasts.
        part = {"cut off": (1.0, 1.5, 2.0), "writes": (0.0, 1 / 8, 1 / 4)}.get(self._sort, PARTS)
        return Work(
            lasts=self._times.ttl * random.choice(part),
            ending=random.choices(ENDINGS, (10, 3, 1, 1, 1))[0],
            cleanup=random.choice((0.0, 0.0, 0.25)),
            stubborn=self._sometimes(0.1),
        )

    def _troubles(self) -> Iterator[Trouble]:
        if self._sort in {"calm", "writes", "net"}:
            return
        for _ in range(self._random.choice((1, 1, 2, 3))):
            server = self._sort == "server" or (self._sort == "all" and self._sometimes(0.4))
            yield Trouble(
                kind=self._kind(server=server),
                whom=None if server else self._random.randrange(self._processes),
                at=self._moment() + self._random.choice((0.0, 0.25, 0.5, 1.0)),
                lasts=self._random.choice((2.0, 5.0) if self._sort == "cut off" else LASTS),
            )

    def _kind(self, *, server: bool) -> Kind:
        match self._sort:
            case "kills":
                return "kill"
            case "pauses":
                return "pause"
            case "cut off":
                return self._random.choice(("silence", "silence", "refuse", "mute"))
        return self._random.choice(OF_SERVER if server else OF_PROCESSES)

    def _key(self) -> str:
        return self._random.choice(self._keys)

    def _moment(self) -> float:
        """Return when something is to happen: mostly at one of few moments, for things to meet."""
        if self._sort == "writes":  # each request takes some moments here
            return self._random.randrange(32) / 32
        little = self._random.choice((0.0, 0.0, 0.0, 1 / 128, 1 / 64, 1 / 16))
        return little + self._span * self._random.choice((0.0, 0.0, 0.25, 0.5, 0.75, 1.0))

    def _sometimes(self, chance: float) -> bool:
        return sometimes(self._random, chance)
