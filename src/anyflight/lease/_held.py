"""Work that runs here, and keeping its lease."""

from __future__ import annotations

__all__ = ("Held", "Holdings", "fencing_number", "held_here", "holding")

import math
from collections.abc import Container, Generator, Hashable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from anyio import CancelScope, current_time

from anyflight._deadlines import Deadlines
from anyflight._deadlock import flying
from anyflight._owner import Owner

from ._requests import Requests, Unreachable
from ._settings import Settings
from ._statistics import Counters
from ._store import LeaseStore

#: The part of a lease's time after which it is renewed.
RENEW_AFTER: Final = 1 / 3
#: The part at its end in which it counts as lost already: the server's clock may run faster than
#: this one, by a tenth at most.
MARGIN: Final = 1 / 10


class Held:
    """A lease that was won: what it is, and until when it may be relied upon.

    The work runs in its scope, whose deadline is the lease's end as this process can know it: the
    time *before* the last request that was confirmed was sent, and the time to live from there, but
    for a margin. Only this process's own monotonic clock counts, and only for that.
    """

    __slots__ = (
        "_flight",
        "began",
        "confirmed",
        "doubted",
        "ended",
        "epoch",
        "finishes",
        "key",
        "name",
        "outer",
        "scope",
        "token",
        "voided",
    )

    def __init__(
        self, key: Hashable, name: str, token: str = "", epoch: int = 0, *, finishes: bool = True
    ) -> None:
        self.key: Hashable = key
        self.name: str = name
        self.token: str = token
        #: The fencing number. 0: the work runs without a lease.
        self.epoch: int = epoch
        #: Whether the work goes on if the lease is lost.
        self.finishes: bool = finishes
        self.scope: CancelScope = CancelScope()
        #: When the last request that was confirmed was sent. Renewals may overtake each other.
        self.confirmed: float = -math.inf
        self._flight = flying.get(None)
        self.began: float = current_time()
        #: When an invalidation of the key was heard of that the lease may not have outlived: so if
        #: it is not there any more, nobody need have taken it over, for it was voided.
        self.doubted: float | None = None
        #: Whether its key was invalidated from here since, so that another may have the lease.
        self.voided: bool = False
        #: Whether the work has ended.
        self.ended: bool = False
        #: What was held when the work began that led to this.
        self.outer: Held | None = None

    def is_of(self, flights: Container[object]) -> bool:
        """Whether this is the work of one of these flights."""
        return self._flight is not None and self._flight() in flights

    @property
    def given_up(self) -> bool:
        """Whether the flight has landed, at its deadline, and the work ignores its cancellation."""
        flight = None if self._flight is None else self._flight()
        return flight is not None and flight.outcome is not None


class Holdings:
    """What runs here; renews the leases of it, each after a third of its time."""

    __slots__ = (
        "__weakref__",
        "_counters",
        "_due",
        "_held",
        "_owner",
        "_requests",
        "_settings",
        "_store",
    )

    def __init__(
        self,
        settings: Settings,
        store: LeaseStore,
        requests: Requests,
        owner: Owner,
        counters: Counters,
    ) -> None:
        self._settings = settings
        self._store = store
        self._requests = requests
        self._owner = owner
        self._counters = counters
        self._due: Deadlines[Held] = Deadlines(owner, settings.ttl * RENEW_AFTER, self._renew_soon)
        self._held: dict[str, list[Held]] = {}

    def add(self, held: Held, sent: float) -> None:
        """Take note of work that is about to run, and keep its lease, if it has one.

        :param sent: when the request was sent that won it
        """
        self._held.setdefault(held.name, []).append(held)
        if held.epoch:
            self._counters.holding += 1
            self._confirm(held, sent)
            self._due.add(held)

    def discard(self, held: Held) -> None:
        """Take note of its end."""
        if held.epoch:
            self._counters.holding -= 1
            self._due.discard(held)
        same = self._held[held.name]
        same.remove(held)
        if not same:
            del self._held[held.name]

    def invalidated(self, name: str) -> None:
        """Take note of an invalidation: the work goes on, for those who wait for it here.

        Whether its lease is void the next renewal tells: it may have been won after that.
        """
        now = current_time()
        for held in self._held.get(name, ()):
            held.doubted = now

    def interrupted(self) -> None:
        """Do nothing: a lease that was voided unheard counts as lost."""

    def of(self, name: str) -> list[Held]:
        """Return what runs for a key."""
        return self._held.get(name, [])

    def names(self) -> list[str]:
        """Return the names for which something runs."""
        return list(self._held)

    def let_go(self) -> None:
        """Let all work go on to its end: there is nobody any more to renew its leases."""
        for same in self._held.values():
            for held in same:
                held.finishes = True
                held.scope.deadline = math.inf

    def end_if_idle(self) -> None:
        """Let the owner close: with nothing held there is nothing to renew."""
        self._due.end_if_idle()

    def clear(self) -> None:
        """Forget everything: the owner has ended."""
        self._due.clear()

    def _confirm(self, held: Held, sent: float) -> None:
        held.confirmed = max(held.confirmed, sent)
        if held.doubted is not None and held.doubted < sent:
            held.doubted = None
        if not held.finishes:
            held.scope.deadline = held.confirmed + self._settings.ttl * (1 - MARGIN)

    def _renew_soon(self, held: Held) -> None:
        if held.given_up:
            self._due.discard(held)
            return
        self._due.postpone(held)
        self._owner.start(self._renew(held), name=f"{self._owner.label} renewal")

    async def _renew(self, held: Held) -> None:
        sent = current_time()
        try:
            renewed = await self._requests.ask(
                self._store.renew(held.name, held.token, ttl=self._settings.ttl)
            )
        except Unreachable:
            return  # not confirmed: its end stands
        if renewed:
            self._counters.renewals += 1
            self._confirm(held, sent)
            return
        self._due.discard(held)
        if held.doubted is not None:
            held.scope.deadline = math.inf
        elif not held.finishes:
            held.scope.cancel()


_working: ContextVar[Held | None] = ContextVar("anyflight.lease", default=None)


@contextmanager
def holding(held: Held) -> Generator[None]:
    """Let the work in this block know its fencing number."""
    held.outer = _working.get()
    token = _working.set(held)
    try:
        yield
    finally:
        held.ended = True
        held.outer = None  # or work that begins in a context of this one would lead to all before
        _working.reset(token)


def held_here(name: str, running: list[Held]) -> list[Hashable] | None:
    """Return the keys from the work that holds the lease ``name`` to where this is called.

    None if it is not work under that lease that calls this, or if that lease is void.

    :param running: what is held of that name
    """
    keys: list[Hashable] = []
    held = _working.get()
    while held is not None:
        keys.append(held.key)
        if held.name == name and held in running and not (held.ended or held.voided):
            return keys[::-1]
        held = held.outer
    return None


def fencing_number() -> int | None:
    """Return the epoch of the lease under which this work runs, None if under none.

    Each lease that is won for a key has a greater number than all before it, in all processes. So
    whoever writes can let its target refuse what is older than what it has seen: that, not the
    lease, is what keeps out a process that was stopped and believes it holds the lease still
    (Martin Kleppmann, "How to do distributed locking", 2016).

    It is a context variable, not an argument of the function: so the same function works with and
    without a lease, and what it calls can ask as well. None means that the server could not be
    asked, or that the value cannot be shared.
    """
    held = _working.get()
    return None if held is None or not held.epoch else held.epoch
