"""What the server did, gone through once more, beside what a lease is.

The rules about the server are asked for here (law 27), and what others need to know is written
down: every lease, from when until when it lasted, and what was stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from anyflight.lease import Busy, Hit, Outcome, Won
from proof.history import FOREVER, Instant
from proof.lease.history import Ask, Forgotten, LeaseHistory

Findings: TypeAlias = Iterator[tuple[int | None, str]]


@dataclass(eq=False, slots=True)
class Leased:
    """A lease that was won."""

    ask: Ask
    """The request that won it."""
    epoch: int
    until: float
    """When it ends, or ended by itself, by the server's clock."""
    ended: Instant = FOREVER
    """When it was ended by something else."""
    how: str = ""
    """By what."""
    extended: list[tuple[Ask, float]] = field(default_factory=list)
    """By which request it was won or renewed, and until when."""

    @property
    def key(self) -> str:
        """What it is for."""
        return self.ask.key

    @property
    def token(self) -> str:
        """Who holds it."""
        return self.ask.token

    @property
    def won(self) -> Instant:
        """When it was won, on the server."""
        return self.ask.arrived

    def lasts(self, time: float) -> bool:
        """Whether it has not ended by itself at this time."""
        return self.until > time

    def __str__(self) -> str:
        return f"lease {self.epoch} of {self.key!r} ({self.token}, {self.ask.process})"


@dataclass(eq=False, slots=True)
class Stored:
    """An outcome that was stored."""

    key: str
    outcome: Outcome
    since: Instant
    until: float
    certain: bool = True
    """Whether the server must have known that somebody waits for it."""
    dropped: Instant = FOREVER
    """When it was dropped before that."""


@dataclass(slots=True)
class State:
    """What is known of one key."""

    lease: Leased | None = None
    """Held, even if its time is over."""
    stored: Stored | None = None
    waited: bool = False
    """Whether somebody has been told that the lease is held, since an outcome was stored."""
    certain: bool = True
    """Whether the server must know that: not if nothing was heard of the key for too long."""
    kept_until: float = 0.0
    """Until when that is known for certain: for a time to live after the lease."""
    epoch: int = 0


class Ledger:
    """Goes through what the server did.

    :ivar leases: every lease, in the order in which they were won
    :ivar stored: every outcome
    :ivar findings: what was wrong
    """

    def __init__(self, history: LeaseHistory) -> None:
        self.leases: list[Leased] = []
        self.stored: list[Stored] = []
        self.forgotten: list[Instant] = []
        self.findings: list[tuple[int | None, str]] = []
        self._states: dict[str, State] = {}
        for each in history.server:
            if isinstance(each, Forgotten):
                self._forget(each.when)
            elif each.method in HANDLERS:
                state = self._states.setdefault(each.key, State())
                self.findings.extend(HANDLERS[each.method](self, each, state))

    def lease(self, token: str) -> Leased | None:
        """Return the lease that a token won, if it won one."""
        return next((each for each in self.leases if each.token == token), None)

    def of_epoch(self, key: str, epoch: int) -> Leased | None:
        """Return the lease with this number."""
        same = (each for each in self.leases if each.key == key and each.epoch == epoch)
        return next(same, None)

    def commit_of(self, epoch: int, key: str) -> Instant:
        """Return when the outcome of an epoch was taken, if ever."""
        lease = self.of_epoch(key, epoch)
        return lease.ended if lease is not None and lease.how == "committed" else FOREVER

    def stored_at(self, key: str, when: Instant) -> list[Stored]:
        """Return the outcomes that were certainly there at this moment; one at most."""
        return [
            each
            for each in self.stored
            if each.key == key
            and each.certain
            and each.since.tick < when.tick < each.dropped.tick
            and when.time < each.until
        ]

    def _forget(self, when: Instant) -> None:
        self.forgotten.append(when)
        for state in self._states.values():
            self._end(state, when, "forgotten")
            self._drop(state, when)
            state.waited, state.certain = False, True

    def _end(self, state: State, when: Instant, how: str) -> None:
        if state.lease is not None:
            state.lease.ended, state.lease.how = when, how
            state.lease = None

    def _drop(self, state: State, when: Instant) -> None:
        if state.stored is not None:
            state.stored.dropped = when
            state.stored = None

    def _acquire(self, ask: Ask, state: State) -> Findings:
        stored = state.stored
        if stored is None or not (
            stored.until > ask.arrived.time and 0 < ask.since <= stored.outcome.epoch
        ):
            stored = None
        if isinstance(ask.answer, Hit):
            yield from self._hit(ask, stored, ask.answer.outcome)
            return
        if stored is not None and stored.certain:
            yield 29, f"{ask} was not given {stored}, but {ask.answer}"
        if isinstance(ask.answer, Busy):
            yield from self._busy(ask, state, ask.answer)
        else:
            yield from self._won(ask, state, ask.answer)

    def _hit(self, ask: Ask, stored: Stored | None, outcome: Outcome) -> Findings:
        if stored is None:
            yield 27, f"{ask} since {ask.since} was given what is not to be had: {outcome}"
        elif (outcome.epoch, outcome.body) != (stored.outcome.epoch, stored.outcome.body):
            yield 27, f"{ask} was given {outcome}, and stored is {stored.outcome}"

    def _busy(self, ask: Ask, state: State, told: Busy) -> Findings:
        lease, now = state.lease, ask.arrived.time
        if lease is None or not lease.lasts(now):
            yield 27, f"{ask} was told that a lease is held, which is not"
        elif (told.epoch, told.remaining) != (lease.epoch, lease.until - now):
            yield 27, f"{ask} was told of another lease than {lease}: {told}"
        state.waited = state.certain = True

    def _won(self, ask: Ask, state: State, won: Won) -> Findings:
        lease, now, ttl = state.lease, ask.arrived.time, ask.args["ttl"]
        if lease is not None:
            if lease.lasts(now):
                yield 27, f"{ask} won, and {lease} lasts until {lease.until:g}"
            lease.how = "expired"
        if won.epoch <= state.epoch:
            yield 27, f"{ask} won epoch {won.epoch} after epoch {state.epoch}"
        state.lease = Leased(ask, won.epoch, now + ttl, extended=[(ask, now + ttl)])
        state.epoch = won.epoch
        if ask.since:
            state.waited = state.certain = True
        elif now >= state.kept_until:
            state.certain = False
        state.kept_until = now + 2 * ttl
        self.leases.append(state.lease)

    def _renew(self, ask: Ask, state: State) -> Findings:
        lease, now = state.lease, ask.arrived.time
        if lease is None or lease.token != ask.token:
            if ask.answer:
                yield 27, f"{ask} renewed what it does not hold: {lease}"
        elif ask.answer:
            lease.until = now + ask.args["ttl"]
            state.kept_until = now + 2 * ask.args["ttl"]
            lease.extended.append((ask, lease.until))
        elif lease.lasts(now):
            yield 27, f"{ask} was refused, and {lease} lasts until {lease.until:g}"

    def _commit(self, ask: Ask, state: State) -> Findings:
        lease, now, outcome = state.lease, ask.arrived.time, ask.outcome
        if lease is None or lease.token != ask.token:
            if ask.answer:
                yield 27, f"{ask} stored what it has no lease for: {lease}"
        elif ask.answer:
            if outcome.epoch != lease.epoch:
                yield 27, f"{ask} stored {outcome} as that of {lease}"
            self._end(state, ask.arrived, "committed")
            if state.waited:
                self._drop(state, ask.arrived)
                until = now + ask.args["keep"]
                state.stored = Stored(ask.key, outcome, ask.arrived, until, certain=state.certain)
                self.stored.append(state.stored)
            state.waited, state.certain = False, True
        elif lease.lasts(now):
            yield 27, f"{ask} was refused, and {lease} lasts until {lease.until:g}"

    def _release(self, ask: Ask, state: State) -> Findings:
        lease = state.lease
        if lease is None or lease.token != ask.token:
            if ask.answer:
                yield 27, f"{ask} released what it does not hold: {lease}"
        elif ask.answer:
            self._end(state, ask.arrived, "released")
        elif lease.lasts(ask.arrived.time):
            yield 27, f"{ask} was refused, and {lease} lasts until {lease.until:g}"

    def _invalidate(self, ask: Ask, state: State) -> Findings:
        self._end(state, ask.arrived, "invalidated")
        self._drop(state, ask.arrived)
        yield from ()


HANDLERS = {
    "acquire": Ledger._acquire,
    "renew": Ledger._renew,
    "commit": Ledger._commit,
    "release": Ledger._release,
    "invalidate": Ledger._invalidate,
}
