"""Frozen records of what a coalescer does and has done, and the instrument that is told of it."""

# Annotations are evaluated here: as strings they would be looked up, by `typing.get_type_hints` and
# whoever uses it, in the module that these classes say they are from, which is the package.

__all__ = (
    "BatchLanded",
    "BatchLoaderStatistics",
    "CallJoined",
    "CallLeft",
    "CoalescerStatistics",
    "FlightInfo",
    "FlightLanded",
    "FlightOutcome",
    "FlightStarted",
    "FlightState",
    "Instrument",
)

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum


class FlightState(StrEnum):
    """Where a flight stands; derived from facts, never stored.

    .. attribute:: QUEUED

        It takes off when the running flight of its key has ended.
    .. attribute:: STARTING

        Its leader exists, but has not called the function yet: it has not taken its first step, or
        waits for a token of the limiter.
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


class FlightOutcome(StrEnum):
    """How a flight ended: the names of the counters in :class:`CoalescerStatistics`."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


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

        calls + retried == flights + joined + refused
        flights == succeeded + failed + cancelled + timed_out + in_flight

    :ivar calls: calls of ``execute`` that were taken or refused; not those with wrong arguments,
        nor those that were cancelled before they could start a flight
    :ivar flights: flights started, by a call or by one that flew once more
    :ivar joined: how often a call joined a flight; ``joined - retried`` executions were saved
    :ivar refused: calls refused because the coalescer was closing or closed, or because there were
        ``max_waiters`` calls waiting
    :ivar retried: calls that made a second attempt, because the flight that they had joined failed
        with an error of ``retry_on``. One that got the first error after all, because there were
        ``max_waiters`` calls waiting, is counted as refused too
    :ivar succeeded: flights that landed with a value
    :ivar failed: flights that landed with an error
    :ivar cancelled: flights that ended by cancellation, or before their function was called
    :ivar timed_out: flights that took longer than ``flight_timeout``
    :ivar in_flight: flights in the air now: queued, starting, running, abandoned and detached
    :ivar waiting: calls that wait now
    """

    calls: int
    flights: int
    joined: int
    refused: int
    retried: int
    succeeded: int
    failed: int
    cancelled: int
    timed_out: int
    in_flight: int
    waiting: int


@dataclass(frozen=True, slots=True)
class BatchLoaderStatistics:
    """What a batch loader has done since it was made, and what it is doing now.

    A call is one key asked for, by ``load`` or ``load_many``. At every moment::

        calls == flights + joined + refused
        flights == succeeded + failed + cancelled + timed_out + in_flight

    :ivar calls: keys asked for; not those of calls with wrong arguments, nor of calls that were
        cancelled before they could start a flight
    :ivar flights: flights started: keys for which there was none to join
    :ivar joined: how often a key was asked for of which a flight was pending or running
    :ivar refused: calls refused because the loader was closing or closed; one of ``load_many``
        counts once
    :ivar succeeded: flights that landed with a value
    :ivar failed: flights that landed with an error, or with no value
    :ivar cancelled: flights that ended by cancellation, or before they were in a running batch
    :ivar timed_out: flights whose batch took longer than ``flight_timeout``
    :ivar in_flight: flights in the air now, those in a pending batch included
    :ivar waiting: keys that calls wait for now, each as often as it is waited for
    :ivar batches: how often the batch function was called
    :ivar loaded: how many keys it was given; ``loaded / batches`` is the mean size of a batch
    """

    calls: int
    flights: int
    joined: int
    refused: int
    succeeded: int
    failed: int
    cancelled: int
    timed_out: int
    in_flight: int
    waiting: int
    batches: int
    loaded: int


@dataclass(frozen=True, slots=True)
class FlightStarted:
    """A call started a flight.

    :ivar coalescer: the name of the coalescer, batch loader or cache
    :ivar key: the key of the flight
    :ivar queued: whether it waits for the running flight of its key to end
    """

    coalescer: str
    key: Hashable
    queued: bool


@dataclass(frozen=True, slots=True)
class CallJoined:
    """A call joined a flight.

    :ivar coalescer: the name of the coalescer, batch loader or cache
    :ivar key: the key of the flight
    :ivar waiters: how many calls wait for it now, this one included
    """

    coalescer: str
    key: Hashable
    waiters: int


@dataclass(frozen=True, slots=True)
class CallLeft:
    """A call left a flight before its landing: cancelled, timed out, or for a `DeadlockError`.

    :ivar coalescer: the name of the coalescer, batch loader or cache
    :ivar key: the key of the flight
    :ivar waiters: how many calls wait for it now; with none left the flight is abandoned
    """

    coalescer: str
    key: Hashable
    waiters: int


@dataclass(frozen=True, slots=True)
class FlightLanded:
    """A flight ended.

    :ivar coalescer: the name of the coalescer, batch loader or cache
    :ivar key: the key of the flight
    :ivar outcome: how it ended
    :ivar error: what the work raised, if it failed: the original, to be read and not to be changed.
        None if a batch had no value for the key
    :ivar waiters: how many calls get the outcome
    :ivar delay: seconds from the start of the flight to the call of its function, or to the landing
        if that never happened: the time in the queue, for a token of the limiter, and for the task
    :ivar duration: seconds from the call of its function to the landing
    """

    coalescer: str
    key: Hashable
    outcome: FlightOutcome
    error: Exception | None
    waiters: int
    delay: float
    duration: float


@dataclass(frozen=True, slots=True)
class BatchLanded:
    """A batch ended, whose function was called; each of its keys has landed before.

    :ivar coalescer: the name of the loader
    :ivar keys: how many keys it had
    :ivar outcome: how it ended. One that succeeded may have had keys that failed
    :ivar error: what the batch function raised, if it did: the original, to be read and not to be
        changed
    :ivar delay: seconds from its first key to the call of the function: for more keys, for a slot,
        for a token of the limiter, and for the task
    :ivar duration: seconds from the call of the function to the landing
    """

    coalescer: str
    keys: int
    outcome: FlightOutcome
    error: Exception | None
    delay: float
    duration: float


class Instrument:
    """Told of what happens in a coalescer, a batch loader or a cache.

    Override what you need; each method here does nothing.

    The methods are called in the event loop, in the middle of the coalescer's own work: they must
    be quick, and may not wait. One that raises harms no flight: it is logged once, and that
    instrument is told of nothing more. ``KeyboardInterrupt`` and ``SystemExit`` pass through.

    After the idea of :class:`trio.abc.Instrument`.
    """

    def flight_started(self, event: FlightStarted) -> None:
        """Take note of a call that started a flight."""

    def call_joined(self, event: CallJoined) -> None:
        """Take note of a call that joined a flight."""

    def call_left(self, event: CallLeft) -> None:
        """Take note of a call that stopped waiting."""

    def flight_landed(self, event: FlightLanded) -> None:
        """Take note of the end of a flight; its waiters have not woken yet."""

    def batch_landed(self, event: BatchLanded) -> None:
        """Take note of the end of a batch of a `BatchLoader`."""
