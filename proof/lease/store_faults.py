"""Faults planted into the store: what a script on a server would do wrong."""

from __future__ import annotations

from typing import Any

from anyio import current_time

from anyflight.lease import MemoryStore, Notice, Outcome, OutcomeKind
from proof.lease.server import Server
from proof.planting import Fault


def _by_key(transition: Any) -> Any:
    """Let a transition be made whoever asks for it."""

    async def faulty(self: Any, key: str, token: str, *args: Any, **options: Any) -> Any:
        state = self._states.get(key)
        if state is not None and state.token is not None:
            state.token = token
        return await transition(self, key, token, *args, **options)

    return faulty


def _store_without_a_lease(commit: Any) -> Any:
    async def faulty(self: Any, key: str, token: str, *args: Any, **options: Any) -> Any:
        state = self._states.get(key)
        if state is not None:
            state.token = token
        return await commit(self, key, token, *args, **options)

    return faulty


def _use_any_epoch(acquire: Any) -> Any:
    async def faulty(self: Any, key: str, token: str, *, since: int, **options: Any) -> Any:
        return await acquire(self, key, token, since=min(since, 1), **options)

    return faulty


def _win_what_is_held(acquire: Any) -> Any:
    async def faulty(self: Any, key: str, token: str, *, since: int, **options: Any) -> Any:
        state = self._states.get(key)
        if state is not None and since:  # who comes again finds it ended
            state.lease_ends = 0.0
        return await acquire(self, key, token, since=since, **options)

    return faulty


def _keep_errors_for_everybody(acquire: Any) -> Any:
    async def faulty(self: Any, key: str, token: str, *, since: int, **options: Any) -> Any:
        state = self._states.get(key)
        outcome = state and self._outcome(state, current_time())
        kept = outcome and outcome.kind is OutcomeKind.ERROR
        return await acquire(self, key, token, since=1 if kept else since, **options)

    return faulty


def _pass_for_new(_outcome: Any) -> Any:
    def faulty(self: Any, state: Any, now: float) -> Outcome | None:
        whole: Outcome | None = _outcome(self, state, now)
        return whole and Outcome(state.epoch, whole.kind, whole.body, whole.age)

    return faulty


def _drop_the_outcome_only(_invalidate: Any) -> Any:
    async def faulty(self: Any, key: str, origin: str) -> None:
        state = self._states.get(key)
        if state is not None:
            state.outcome = None
        self._publish(Notice(key, origin), None)

    return faulty


def _forget_who_waits(commit: Any) -> Any:
    async def faulty(self: Any, key: str, *args: Any, **options: Any) -> Any:
        state = self._states.get(key)
        if state is not None:
            state.waited = False
        return await commit(self, key, *args, **options)

    return faulty


def _count_from_one(_first_epoch: Any) -> Any:
    return staticmethod(lambda _time: 0)


STORE_FAULTS = (
    Fault(
        "an outcome is stored without a look at who holds the lease",
        27,
        "any cache that is set when the work has ended, however late",
        MemoryStore,
        "commit",
        _store_without_a_lease,
    ),
    Fault(
        "a lease is released by its key, not by its token",
        27,
        "locks that are deleted by who believes to hold them; redis.io, distributed locks",
        MemoryStore,
        "release",
        _by_key,
    ),
    Fault(
        "a lease is renewed by its key, not by its token",
        27,
        "locks that are extended with EXPIRE",
        MemoryStore,
        "renew",
        _by_key,
    ),
    Fault(
        "an outcome is used whatever its epoch",
        27,
        "PostHog#100666",
        MemoryStore,
        "acquire",
        _use_any_epoch,
    ),
    Fault(
        "a lease is won though it is held",
        27,
        "layercache#59: all that wait run when the leader is gone",
        MemoryStore,
        "acquire",
        _win_what_is_held,
    ),
    Fault(
        "an error is kept for whoever asks later",
        27,
        "snuba#2128",
        MemoryStore,
        "acquire",
        _keep_errors_for_everybody,
    ),
    Fault(
        "an old outcome passes for that of the new epoch",
        27,
        "PostHog#100666",
        MemoryStore,
        "_outcome",
        _pass_for_new,
    ),
    Fault(
        "an invalidation drops the outcome, and does not void the lease",
        27,
        "any cache whose deletion is overtaken by a fill",
        MemoryStore,
        "invalidate",
        _drop_the_outcome_only,
    ),
    Fault(
        "nothing is stored for those who wait",
        29,
        "locks that are only locks: the next one runs the work again",
        MemoryStore,
        "commit",
        _forget_who_waits,
    ),
    Fault(
        "epochs begin again when the server has lost its memory",
        27,
        "fencing numbers that are an INCR",
        Server,
        "first_epoch",
        _count_from_one,
    ),
)
