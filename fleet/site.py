"""What a strategy is given in each process: the work, and a server that all processes share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from anyflight.lease import LeaseEnd, LeaseInstrument
from demo.flights import FlightLog
from demo.ledger import Fetch, cause
from examples.user_service.user import User

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from anyflight.lease import LeaseEnded

    Lookup: TypeAlias = Callable[[int], Coroutine[Any, Any, "Record"]]

Record: TypeAlias = list[Any]
"""A user as JSON has it: what every library here can pass from process to process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all processes have in common."""

    strategy: str
    """Its name."""

    host: str
    port: int
    """Of the Valkey server."""

    ttl: float
    """Seconds after which a lease or a lock is over that nobody renews or releases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a strategy works."""

    fetch: Lookup
    """The work that is to be shared."""

    setting: Setting

    flights: FlightLog = field(default_factory=FlightLog)
    """What a strategy of anyflight's own tells of its flights; others know of queries only."""


class LeaseLog(LeaseInstrument):
    """Writes down how long leases were held: so long can others share an execution."""

    def __init__(self, flights: FlightLog) -> None:
        self._fetches = flights.fetches

    def lease_ended(self, event: LeaseEnded) -> None:
        """Write a fetch down, if its outcome was shared; this runs in a flight's task."""
        if event.end is LeaseEnd.COMMITTED:
            self._fetches.append(Fetch(cast("int", event.key), cause.get(), event.duration))


def record_of(user: User) -> Record:
    """Return the user as the work returns it."""
    return [user.id, user.name, user.email, user.created_at.isoformat()]


def user_of(record: Record) -> User:
    """Return the user that a record stands for."""
    user_id, name, email, created_at = record
    return User(user_id, name, email, datetime.fromisoformat(created_at))
