"""Faults in what policies promise: each is a way to get one of them wrong that is near at hand."""

from __future__ import annotations

import math
from typing import Any

from anyflight._calls import Calls
from anyflight._flight import FlightTable
from anyflight._leaders import Leaders
from proof.planting import Fault


def _let_the_starter_fly_again(flies_once_more: Any) -> Any:
    def faulty(self: Any, flight: Any, *, starter: bool) -> bool:  # noqa: ARG001 - that is the fault
        return bool(flies_once_more(self, flight, starter=False))

    return faulty


def _run_without_a_token(_run_with_token: Any) -> Any:
    async def faulty(self: Any, leader: Any, flight: Any, _limiter: Any) -> Any:
        return await self._run(leader, flight)

    return faulty


def _keep_the_token_of_what_was_cancelled(_run_with_token: Any) -> Any:
    async def faulty(self: Any, leader: Any, flight: Any, limiter: Any) -> Any:
        await limiter.acquire_on_behalf_of(flight)
        outcome = await self._run(leader, flight)
        if not leader.cancelled:
            limiter.release_on_behalf_of(flight)
        return outcome

    return faulty


def _stay_in_the_queue_for_a_token(_leave: Any) -> Any:
    def faulty(self: Any, flight: Any) -> None:
        if self._table.leave(flight) and flight.began is not None:
            flight.leader.cancel()
        elif flight.outcome is not None and self._deadlines is not None:
            self._deadlines.discard(flight)

    return faulty


def _let_expired_work_run_on(expire: Any) -> Any:
    def faulty(self: Any, flight: Any) -> None:
        cancel, flight.leader = flight.leader, _Deaf()
        try:
            expire(self, flight)
        finally:
            flight.leader = cancel

    return faulty


class _Deaf:
    """A leader that does not hear its cancellation."""

    def cancel(self) -> None:
        """Do nothing."""


def _never_be_too_old(_overdue: Any) -> Any:
    return lambda _self, _key, _now: None


def _let_any_number_wait(join: Any) -> Any:
    def faulty(self: Any, key: Any, *, fresh: bool) -> Any:
        most, self._max_waiters = self._max_waiters, math.inf
        try:
            return join(self, key, fresh=fresh)
        finally:
            self._max_waiters = most

    return faulty


POLICY_FAULTS = (
    Fault(
        "who started a flight that failed flies once more",
        7,
        "a retry around the coalescer, in place of one in it",
        Calls,
        "flies_once_more",
        _let_the_starter_fly_again,
    ),
    Fault(
        "work runs without a token",
        12,
        "a bound on what waits, not on what runs",
        Leaders,
        "_run_with_token",
        _run_without_a_token,
    ),
    Fault(
        "work that is cancelled keeps its token",
        16,
        "a release that is not in a finally",
        Leaders,
        "_run_with_token",
        _keep_the_token_of_what_was_cancelled,
    ),
    Fault(
        "what everybody has left stays in the limiter's queue",
        3,
        "a mutant of this one",
        Leaders,
        "leave",
        _stay_in_the_queue_for_a_token,
    ),
    Fault(
        "work runs on at its deadline",
        3,
        "whoever bounds the wait and not the work",
        Leaders,
        "_expire",
        _let_expired_work_run_on,
    ),
    Fault(
        "a flight is joined however old it is",
        13,
        "every coalescer without such a bound",
        FlightTable,
        "overdue",
        _never_be_too_old,
    ),
    Fault(
        "more calls wait than may",
        12,
        "every coalescer without such a bound",
        FlightTable,
        "join",
        _let_any_number_wait,
    ),
)
