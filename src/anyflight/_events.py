"""Frozen records of what a coalescer does and has done."""

from __future__ import annotations

__all__ = ("CoalescerStatistics", "FlightInfo", "FlightState")

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum


class FlightState(StrEnum):
    """Where a flight stands; derived from facts, never stored.

    .. attribute:: QUEUED

        It takes off when the running flight of its key has ended.
    .. attribute:: STARTING

        Its leader exists and has not taken its first step: the function has not been called.
    .. attribute:: RUNNING

        The function has been called.
    .. attribute:: ABANDONED

        The function has been called and every waiter has left.
    .. attribute:: DETACHED

        It has been removed from the table and serves the waiters that it had.
    .. attribute:: LANDED

        It has its outcome. Such a flight is in no table and in no record of one.
    """

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    ABANDONED = "abandoned"
    DETACHED = "detached"
    LANDED = "landed"


@dataclass(frozen=True, slots=True)
class FlightInfo:
    """One flight in the air.

    :ivar key: the key of the flight
    :ivar state: where it stands
    :ivar waiters: how many calls wait for it
    :ivar age: seconds since its function was called, 0.0 if that has not happened yet
    """

    key: Hashable
    state: FlightState
    waiters: int
    age: float


@dataclass(frozen=True, slots=True)
class CoalescerStatistics:
    """What a coalescer has done since it was made, and what it is doing now.

    The counters go on when the coalescer is closed and opened again. At every moment::

        calls   == flights + joined + refused
        flights == succeeded + failed + cancelled + in_flight

    :ivar calls: calls of ``execute`` that were taken or refused; not those with wrong arguments,
        nor those that were cancelled before they could start a flight
    :ivar flights: calls that started a flight
    :ivar joined: calls that joined a flight: the executions that were saved
    :ivar refused: calls refused because the coalescer was closing or closed
    :ivar succeeded: flights that landed with a value
    :ivar failed: flights that landed with an error
    :ivar cancelled: flights that ended by cancellation, or before their function was called
    :ivar in_flight: flights in the air now: queued, starting, running, abandoned and detached
    :ivar waiting: calls that wait now
    """

    calls: int
    flights: int
    joined: int
    refused: int
    succeeded: int
    failed: int
    cancelled: int
    in_flight: int
    waiting: int
