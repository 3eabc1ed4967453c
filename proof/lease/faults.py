"""Faults of other locks and leases, and some near at hand, to be found in this one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from anyio import Event, current_time, fail_after, move_on_after

from anyflight.lease import Hit, Won, _held
from anyflight.lease._hearing import Hearing
from anyflight.lease._held import Holdings
from anyflight.lease._participation import Participation
from anyflight.lease._requests import Requests, Unreachable
from proof.lease.store_faults import STORE_FAULTS
from proof.planting import Fault


def _ask_as_a_newcomer(acquire: Any) -> Any:
    async def faulty(self: Any, token: str) -> Any:
        self._since = 0
        return await acquire(self, token)

    return faulty


def _ask_for_anything(acquire: Any) -> Any:
    async def faulty(self: Any, token: str) -> Any:
        self._since = self._since or 1
        return await acquire(self, token)

    return faulty


def _let_a_fresh_call_wait_for_what_runs(wait: Any) -> Any:
    async def faulty(self: Any, news: Event, remaining: float) -> None:
        if self._fresh:
            self._fresh = False
            self._since -= 1
        await wait(self, news, remaining)

    return faulty


def _wait_for_a_message_only(_wait: Any) -> Any:
    async def faulty(self: Any, news: Event, remaining: float) -> None:  # noqa: ARG001 - the fault
        await news.wait()
        self._shared.counters.woken += 1

    return faulty


def _wait_for_the_end_of_the_lease(_wait: Any) -> Any:
    async def faulty(_self: Any, news: Event, remaining: float) -> None:
        with move_on_after(remaining):
            await news.wait()

    return faulty


def _listen_when_the_answer_is_there(wait: Any) -> Any:
    async def faulty(self: Any, news: Event, remaining: float) -> None:  # noqa: ARG001 - the fault
        with self._shared.hearing.news(self._name) as later:
            await wait(self, later.event, remaining)

    return faulty


def _ask_again_and_again(_wait: Any) -> Any:
    async def faulty(self: Any, news: Event, remaining: float) -> None:  # noqa: ARG001 - the fault
        with move_on_after(self._shared.settings.poll_interval / 20):
            await news.wait()

    return faulty


def _keep_what_was_won(_release: Any) -> Any:
    async def faulty(_self: Any, _token: str) -> None:
        pass

    return faulty


def _tell_nobody(_tell: Any) -> Any:
    return lambda _self, _name, **_options: None


def _tell_nobody_who_asks(_tell: Any) -> Any:
    def faulty(self: Any, name: str, **_options: Any) -> None:
        for listener in tuple(self.listeners):
            listener.invalidated(name)

    return faulty


def _never_renew(_renew_soon: Any) -> Any:
    return lambda self, held: self._due.postpone(held)


def _renew_no_more(_invalidated: Any) -> Any:
    def faulty(self: Any, name: str) -> None:
        for held in self._held.get(name, ()):
            held.scope.deadline = float("inf")
            self._due.discard(held)

    return faulty


def _count_from_the_answer(add: Any) -> Any:
    return lambda self, held, _sent: add(self, held, current_time())


def _without_a_margin(_margin: Any) -> Any:
    return 0


def _within(limit: Callable[[Any], AbstractContextManager[object]]) -> Any:
    """Let a request be waited for in this scope, which is not shielded."""

    def make(_ask: Any) -> Any:
        async def faulty(self: Any, request: Any) -> Any:
            self._counters.requests += 1
            try:
                with limit(self):
                    answer = await request
            except Exception as exc:
                self.failed(exc)
                raise Unreachable from exc
            self.succeeded()
            return answer

        return faulty

    return make


_give_up_when_cancelled = _within(lambda self: fail_after(self._settings.request_timeout))
_wait_for_the_server_for_ever = _within(lambda _self: nullcontext())


def _try_always(_take_try: Any) -> Any:
    return lambda _self: True


def _win_alone(acquire: Any) -> Any:
    """Let the answer that a lease is held be taken for the lease."""

    async def faulty(self: Any, token: str) -> Any:
        answer, sent = await acquire(self, token)
        return (answer if isinstance(answer, Hit) else Won(answer.epoch)), sent

    return faulty


RARE_FAULT = Fault(
    "an outcome that was on its way during an invalidation is given to who came later",
    26,
    "the first version of this one",
    Hearing,
    "tell",
    _tell_nobody_who_asks,
)
"""Found by one random program in some thousands; see tests/proof/test_lease_faults.py."""

LEASE_FAULTS = (
    *STORE_FAULTS,
    Fault(
        "who has waited asks as a newcomer",
        29,
        "aiocache 0.12: each that waited runs the work",
        Participation,
        "_acquire",
        _ask_as_a_newcomer,
    ),
    Fault(
        "a newcomer uses what is stored already",
        26,
        "a cache that nobody asked for",
        Participation,
        "_acquire",
        _ask_for_anything,
    ),
    Fault(
        "that a lease is held is taken for the lease",
        28,
        "a SET without NX",
        Participation,
        "_acquire",
        _win_alone,
    ),
    Fault(
        "a fresh call uses what had begun before it",
        26,
        "openusage#928",
        Participation,
        "_wait",
        _let_a_fresh_call_wait_for_what_runs,
    ),
    Fault(
        "who waits relies on a message",
        25,
        "whoever subscribes, and asks no more",
        Participation,
        "_wait",
        _wait_for_a_message_only,
    ),
    Fault(
        "who waits does so until the lease ends, however long that is",
        25,
        "locks that sleep for their time to live",
        Participation,
        "_wait",
        _wait_for_the_end_of_the_lease,
    ),
    Fault(
        "a message is listened for when the answer has come",
        25,
        "a lost wake-up",
        Participation,
        "_wait",
        _listen_when_the_answer_is_there,
    ),
    Fault(
        "who waits asks again and again",
        31,
        "cashews 7.6, which waits in a loop without a pause",
        Participation,
        "_wait",
        _ask_again_and_again,
    ),
    Fault(
        "a lease is kept by who was cancelled",
        32,
        "FusionCache#644, #646",
        Participation,
        "_release",
        _keep_what_was_won,
    ),
    Fault(
        "nobody in the process is told of invalidations",
        26,
        "caches with a tier in memory, and a channel that nobody reads",
        Hearing,
        "tell",
        _tell_nobody,
    ),
    Fault(
        "no lease is ever renewed",
        29,
        "locks with a fixed time to live",
        Holdings,
        "_renew_soon",
        _never_renew,
    ),
    Fault(
        "the message of an earlier invalidation ends a lease's renewal",
        28,
        "the first version of this one",
        Holdings,
        "invalidated",
        _renew_no_more,
    ),
    Fault(
        "a lease is relied upon for its whole time from the answer on",
        28,
        "locks that begin to count when they have been told",
        Holdings,
        "add",
        _count_from_the_answer,
    ),
    Fault(
        "a lease is relied upon to the last moment, by whatever clock",
        28,
        "rockscache",
        _held,
        "MARGIN",
        _without_a_margin,
    ),
    Fault(
        "a request is given up when its call is cancelled",
        32,
        "rueidis#1010",
        Requests,
        "ask",
        _give_up_when_cancelled,
    ),
    Fault(
        "a request is waited for as long as it takes",
        25,
        "clients without a timeout",
        Requests,
        "ask",
        _wait_for_the_server_for_ever,
    ),
    Fault(
        "a server that is lost is asked by every call",
        31,
        "clients without a circuit breaker",
        Requests,
        "take_try",
        _try_always,
    ),
)
