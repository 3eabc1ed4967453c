"""Frozen records of what becomes of a lease and of the server, and the instrument told of it."""

# Annotations are evaluated here, for the reason that `anyflight._events` gives.

__all__ = ("LeaseEnd", "LeaseEnded", "LeaseInstrument", "ServerFound", "ServerLost")

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum


class LeaseEnd(StrEnum):
    """How a lease that was won here ended.

    .. attribute:: COMMITTED

        With an outcome, a value or an error.
    .. attribute:: FENCED

        With an outcome that came too late to be stored.
    .. attribute:: UNCOMMITTED

        With an outcome of which the server could not be told.
    .. attribute:: LOST

        Before the work did: it was not renewed in time, or another has it.
    .. attribute:: RELEASED

        By cancellation.
    """

    COMMITTED = "committed"
    FENCED = "fenced"
    UNCOMMITTED = "uncommitted"
    LOST = "lost"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class LeaseEnded:
    """A lease that was won here ended.

    :ivar lease: the name of the lease object
    :ivar key: the key
    :ivar epoch: the fencing number
    :ivar end: how it ended
    :ivar delay: seconds from the beginning of the call to the winning of the lease
    :ivar duration: seconds from there to its end
    """

    lease: str
    key: Hashable
    epoch: int
    end: LeaseEnd
    delay: float
    duration: float


@dataclass(frozen=True, slots=True)
class ServerLost:
    """The server could not be asked: from now on calls run without it, until it can.

    :ivar lease: the name of the lease object
    :ivar error: what said so: to be read and not to be changed
    """

    lease: str
    error: Exception


@dataclass(frozen=True, slots=True)
class ServerFound:
    """The server answers again.

    :ivar lease: the name of the lease object
    :ivar outage: seconds since it was lost
    """

    lease: str
    outage: float


class LeaseInstrument:
    """Told of what happens to leases; see :class:`anyflight.Instrument`, whose rules hold here."""

    def lease_ended(self, event: LeaseEnded) -> None:
        """Take note of the end of a lease that was won here."""

    def server_lost(self, event: ServerLost) -> None:
        """Take note of the beginning of an outage."""

    def server_found(self, event: ServerFound) -> None:
        """Take note of the end of an outage."""
