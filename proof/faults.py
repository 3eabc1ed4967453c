"""Faults of published libraries, planted into this one: what finds none of them proves nothing.

Each is the smallest change that makes anyflight behave as they did. They change the flight table as
far as that can do it, because that decides.
"""

from __future__ import annotations

from typing import Any

from anyflight import _coalescer, _leaders
from anyflight._flight import FlightTable
from anyflight._outcome import Cancellation
from anyflight._outcome import Failure as WorkFailed
from proof.planting import Fault
from proof.policy_faults import POLICY_FAULTS


def _remove_by_key(land: Any) -> Any:
    def faulty(self: Any, flight: Any, outcome: Any) -> Any:
        detached = flight.detached
        successor = land(self, flight, outcome)
        if detached:
            self._current.pop(flight.key, None)  # whichever flight that is
        return successor

    return faulty


def _stay_in_the_table(join: Any) -> Any:
    """Hand out, once, the flight of the key that was handed out before, landed or not."""
    last: dict[tuple[int, Any], Any] = {}

    def faulty(self: Any, key: Any, *, fresh: bool) -> Any:
        flight = join(self, key, fresh=fresh)
        if flight is not None:
            last[id(self), key] = flight
        elif not fresh and (late := last.pop((id(self), key), None)) is not None:
            return late if late.outcome is not None else None
        return flight

    return faulty


def _cancel_when_any_waiter_leaves(leave: Any) -> Any:
    def faulty(self: Any, flight: Any) -> Any:
        return leave(self, flight) or (flight.outcome is None and flight.began is not None)

    return faulty


def _free_the_key_before_the_clean_up_has_ended(leave: Any) -> Any:
    def faulty(self: Any, flight: Any) -> Any:
        cancel = leave(self, flight)
        if (
            cancel
            and flight.outcome is None
            and not flight.detached
            and flight.predecessor is None
            and flight.successor is None
        ):
            self.detach(flight)
        return cancel

    return faulty


def _never_count_down(_leave: Any) -> Any:
    return lambda _self, _flight: False


def _join_what_is_being_cancelled(join: Any) -> Any:
    def faulty(self: Any, key: Any, *, fresh: bool) -> Any:
        flight = self.current(key)
        if fresh or flight is None or flight.began is None or flight.waiters:
            return join(self, key, fresh=fresh)
        flight.waiters += 1
        self.joined += 1
        self.waiting += 1
        return flight

    return faulty


def _join_what_has_begun(join: Any) -> Any:
    def faulty(self: Any, key: Any, *, fresh: bool) -> Any:  # noqa: ARG001 - that is the fault
        return join(self, key, fresh=False)

    return faulty


def _begin_though_everybody_left(begin: Any) -> Any:
    def faulty(self: Any, flight: Any, now: float) -> bool:
        begin(self, flight, now)
        return True

    return faulty


def _keep_a_cancelled_flight_for_ever(land: Any) -> Any:
    def faulty(self: Any, flight: Any, outcome: Any) -> Any:
        if isinstance(outcome, Cancellation) and flight.began is not None and not flight.waiters:
            return None
        return land(self, flight, outcome)

    return faulty


def _leave_the_queued_flight_on_the_ground(land: Any) -> Any:
    def faulty(self: Any, flight: Any, outcome: Any) -> None:
        land(self, flight, outcome)

    return faulty


def _leave_the_queued_flights_to_the_clean_up(_abort: Any) -> Any:
    return lambda _self, _outcome: []


def _share_the_exception(_to_raise: Any) -> Any:
    def faulty(self: Any, key: object, *, alone: bool) -> Any:  # noqa: ARG001 - that is the fault
        return self.error

    return faulty


def _let_cancellations_out(judge: Any) -> Any:
    def faulty(exc: BaseException) -> Any:
        outcome = judge(exc)
        return None if isinstance(outcome, Cancellation) else outcome

    return faulty


def _start_though_cancelled(_checkpoint_if_cancelled: Any) -> Any:
    async def faulty() -> None:
        pass

    return faulty


def inherit_the_context_of_the_predecessor(copy_context: Any) -> Any:
    """Hand out the first context again and again."""
    first: list[Any] = []

    def faulty() -> Any:
        if not first:
            first.append(copy_context())
        return first[0]

    return faulty


FAULTS = (
    Fault(
        "a flight is removed by its key, not by its identity",
        1,
        "janos/singleflight#4, data-accelerator/dart#69",
        FlightTable,
        "land",
        _remove_by_key,
    ),
    Fault(
        "a flight wakes its waiters before it leaves the table",
        6,
        "janos/singleflight#4",
        FlightTable,
        "join",
        _stay_in_the_table,
    ),
    Fault(
        "the work is cancelled when any waiter leaves",
        2,
        "cashews 7.6, oneflight 0.1, golang/go#22724",
        FlightTable,
        "leave",
        _cancel_when_any_waiter_leaves,
    ),
    Fault(
        "a new flight takes off before the clean-up of the abandoned one has ended",
        4,
        "async-lru 2.4, cacheflight 1.0, coalescer 0.3",
        FlightTable,
        "leave",
        _free_the_key_before_the_clean_up_has_ended,
    ),
    Fault(
        "a waiter that leaves is not counted down",
        3,
        "linera-protocol#6577, nydus#1954",
        FlightTable,
        "leave",
        _never_count_down,
    ),
    Fault(
        "a call joins a flight that is being cancelled",
        9,
        "golang/go#22724, cockroachdb#91038",
        FlightTable,
        "join",
        _join_what_is_being_cancelled,
    ),
    Fault(
        "a fresh call joins a flight that has begun",
        5,
        "openusage#928, PostHog#51713",
        FlightTable,
        "join",
        _join_what_has_begun,
    ),
    Fault(
        "the function is called though everybody has left",
        3,
        "the moment between the making of a task and its first step",
        FlightTable,
        "begin",
        _begin_though_everybody_left,
    ),
    Fault(
        "a cancelled flight never leaves the table: its key is dead",
        16,
        "singleflight, dedup-me, aiodataloader",
        FlightTable,
        "land",
        _keep_a_cancelled_flight_for_ever,
    ),
    Fault(
        "a queued flight is forgotten",
        16,
        "a lost wake-up",
        FlightTable,
        "land",
        _leave_the_queued_flight_on_the_ground,
    ),
    Fault(
        "what is queued is told nothing when the owner is gone",
        10,
        "a mutant of this one, which survived",
        FlightTable,
        "abort",
        _leave_the_queued_flights_to_the_clean_up,
    ),
    Fault(
        "one exception is raised in every waiter",
        8,
        "oneflight 0.1, aiokafka#246, python/cpython#91110",
        WorkFailed,
        "to_raise",
        _share_the_exception,
    ),
    Fault(
        "a queued flight runs in the context of the one before it",
        14,
        "whoever starts a task from another request's task",
        _leaders,
        "copy_context",
        inherit_the_context_of_the_predecessor,
    ),
    Fault(
        "a foreign cancellation leaves the leader's task",
        9,
        "any child task of asyncio whose cancellation cancels its group",
        _leaders,
        "judge",
        _let_cancellations_out,
    ),
    Fault(
        "a call in a scope that is cancelled already starts the work",
        15,
        "whoever makes a task before its first checkpoint",
        _coalescer,
        "checkpoint_if_cancelled",
        _start_though_cancelled,
    ),
    *POLICY_FAULTS,
)
