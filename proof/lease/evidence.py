"""What can be concluded from a history."""

from __future__ import annotations

from functools import cached_property

from anyflight.lease import Acquired, Busy
from proof.history import FOREVER, Instant
from proof.lease.history import (
    Ask,
    Called,
    Executed,
    Invalidated,
    LeaseHistory,
    Lived,
    Part,
)
from proof.lease.ledger import Leased, Ledger
from proof.lease.plans import LeaseProgram
from proof.lease.work import source

NEARLY = 1e-9
"""Sums of seconds may be rounded."""


class LeaseEvidence:
    """A program, its history, and what follows."""

    def __init__(self, program: LeaseProgram, history: LeaseHistory) -> None:
        self.program = program
        self.history = history
        self.ledger = Ledger(history)

    # In the seconds of the virtual clock, as they are for a process

    def poll(self, process: Lived) -> float:
        """Return its poll interval."""
        return self.program.times.poll_interval / process.plan.rate

    def patience(self, process: Lived) -> float:
        """Return its request timeout."""
        return self.program.times.request_timeout / process.plan.rate

    def retry(self, process: Lived) -> float:
        """Return its retry interval."""
        return self.program.times.retry_interval / process.plan.rate

    # Who did what

    def execution(self, outcome: object) -> Executed | None:
        """Return the execution of which an outcome is, if of any."""
        number = source(outcome)
        return None if number is None else self.history.executions[number]

    def own(self, part: Part) -> list[Executed]:
        """Return the executions that a part made itself."""
        return self._own.get(part, [])

    @cached_property
    def _own(self) -> dict[Part, list[Executed]]:
        own: dict[Part, list[Executed]] = {}
        for one in self.history.executions:
            own.setdefault(one.part, []).append(one)
        return own

    def lease_of(self, one: Executed) -> Leased | None:
        """Return the lease under which something was executed."""
        return self.ledger.of_epoch(one.key, one.epoch) if one.epoch else None

    def may_outlast(self, lease: Leased) -> bool:
        """Whether work goes on though its lease is lost: where that was asked for, or once again.

        Work that was cancelled with one lease is let finish with the next.
        """
        part = lease.ask.part
        first = next((each for each in self.ledger.leases if each.ask.part is part), None)
        return lease.ask.process.plan.on_lost == "finish" or first is not lease

    def waits(self, part: Part) -> list[tuple[Ask, Busy, Instant, Ask | None]]:
        """Return the waits of a part: by which request it was told what, until when, the next."""
        found: list[tuple[Ask, Busy, Instant, Ask | None]] = []
        for number, ask in enumerate(part.asks, 1):
            later = part.asks[number] if number < len(part.asks) else None
            if isinstance(ask.got, Busy):
                began = (one.began for one in self.own(part) if one.began.tick > ask.returned.tick)
                until = min([part.ended, *began, *([later.sent] if later else [])])
                found.append((ask, ask.got, until, later))
        return found

    def first_told(self, part: Part) -> Acquired | None:
        """Return the first answer that a part got."""
        return next((ask.got for ask in part.asks if ask.got is not None), None)

    def may_have_lost(self, process: Lived, when: Instant) -> bool:
        """Whether the last that a process had of the server may be that it could not be asked."""
        return any(self._lost(process, when))

    def has_lost(self, process: Lived, when: Instant) -> bool:
        """Whether it certainly was."""
        return all(self._lost(process, when))

    def _lost(self, process: Lived, when: Instant) -> list[bool]:
        """Return whether it was before this moment, and with each thing that it had in it."""
        before, found = (0.0, False), []
        for ask in self.history.asks:
            if (
                ask.process is process
                and ask.returned.tick < when.tick
                and ask.method != "subscribe"  # which is nothing that a call would ask
            ):
                if ask.returned.time == when.time:
                    found.append(ask.failed)
                else:
                    before = max(before, (ask.returned.tick, ask.failed))
        return [before[1], *found]

    def heard_invalidation(self, process: Lived, key: str, since: Instant, until: Instant) -> bool:
        """Whether a process heard of an invalidation between these, or made one."""
        heard = [when for when, notice in process.heard if notice.invalidated and notice.key == key]
        made = [
            each.ended
            for each in self.history.invalidations
            if each.process is process and each.key == key
        ]
        return any(since.tick < when.tick < until.tick for when in (*heard, *made))

    def known(self, one: Invalidated, call: Called) -> Instant:
        """Return from when a call must know of an invalidation.

        A call of a lease asks the server itself. A call of a coalescer may join what goes on in its
        process, which an invalidation in another one reaches as a message.
        """
        if not one.done:
            return FOREVER
        if one.process is call.process or not call.process.plan.coalesces:
            return one.ended
        # Of several by the same process the last message tells of this one at the latest.
        mine = (one.key, str(one.process))
        heard = (
            when
            for when, notice in call.process.heard
            if (notice.key, notice.invalidated) == mine and when.tick > one.made.tick
        )
        return max(one.ended, max(heard, default=FOREVER))
