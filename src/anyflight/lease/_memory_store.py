"""A store in the memory of this process: for tests, and the plainest statement of a store."""

from __future__ import annotations

__all__ = ("MemoryStore",)

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from itertools import islice
from typing import Final

from anyio import Event, current_time
from anyio.lowlevel import checkpoint

from ._store import Acquired, Busy, Hear, Hit, Notice, Outcome, Won

#: How many states are looked at when a lease is asked for.
SWEPT: Final = 2


class State:
    """What is known of one key."""

    __slots__ = (
        "epoch",
        "expires",
        "lease_ends",
        "outcome",
        "outcome_ends",
        "stored",
        "token",
        "waited",
    )

    def __init__(self) -> None:
        self.epoch = 0
        #: The token that holds the lease, even if its time is over and nobody has won it since.
        self.token: str | None = None
        self.lease_ends = 0.0
        #: Whether somebody has been told `Busy` since an outcome was stored.
        self.waited = False
        self.outcome: Outcome | None = None
        self.stored = 0.0
        self.outcome_ends = 0.0
        #: When all this is forgotten: a while after the end of the lease, for what comes late.
        self.expires = 0.0


class MemoryStore:
    """A :class:`LeaseStore` for the event loop in which it is used.

    Every transition is one step, after a checkpoint. Epochs count from one.
    """

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._tags: dict[str, dict[str, float]] = {}
        self._hearers: list[Hear] = []
        self._epoch = 0

    def __len__(self) -> int:
        """Return the number of keys that have any state."""
        return len(self._states)

    async def check(self) -> None:
        """Return: it is there."""
        await checkpoint()

    async def listen(self, hear: Hear, live: Callable[[], None]) -> None:
        """See :class:`LeaseStore`."""
        self._hearers.append(hear)
        try:
            live()
            await Event().wait()
        finally:
            self._hearers.remove(hear)

    async def acquire(self, key: str, token: str, *, ttl: float, since: int) -> Acquired:
        """See :class:`LeaseStore`."""
        await checkpoint()
        now = current_time()
        self._sweep(now)
        state = self._known(key)
        if state is None:
            state = self._states[key] = State()
        outcome = self._outcome(state, now)
        if since and outcome is not None and outcome.epoch >= since:
            return Hit(outcome)
        if state.token is not None and state.lease_ends > now:
            if state.token == token:
                return Won(state.epoch)
            state.waited = True
            return Busy(state.epoch, state.lease_ends - now)
        # One counter for all keys, so that it goes on when the state of a key is forgotten.
        self._epoch += 1
        state.epoch = self._epoch
        state.token = token
        self._prolong(state, ttl)
        state.waited = state.waited or since > 0
        return Won(state.epoch)

    async def renew(self, key: str, token: str, *, ttl: float) -> bool:
        """See :class:`LeaseStore`."""
        await checkpoint()
        state = self._known(key)
        if state is None or state.token != token:
            return False
        self._prolong(state, ttl)
        return True

    async def commit(
        self, key: str, token: str, outcome: Outcome, *, keep: float, wanted: bool
    ) -> bool:
        """See :class:`LeaseStore`."""
        await checkpoint()
        state = self._known(key)
        if state is None:
            return False
        if state.token != token:  # it may be that a client asks twice
            return state.outcome is not None and state.outcome.epoch == outcome.epoch
        state.token = None
        if state.waited or wanted:
            self._store(state, outcome, keep)
        self._publish(Notice(key), state)
        state.waited = False
        self._forget(key, state)
        return True

    async def release(self, key: str, token: str) -> bool:
        """See :class:`LeaseStore`."""
        await checkpoint()
        state = self._known(key)
        if state is None or state.token != token:
            return False
        state.token = None
        self._publish(Notice(key), state)
        self._forget(key, state)
        return True

    async def invalidate(self, key: str, origin: str) -> None:
        """See :class:`LeaseStore`."""
        await checkpoint()
        state = self._known(key)
        if state is not None:
            state.token = state.outcome = None
            self._forget(key, state)
        self._publish(Notice(key, origin), None)

    async def invalidate_all(self, origin: str) -> None:
        """See :class:`LeaseStore`."""
        await checkpoint()
        self._publish(Notice(None, origin), None)

    async def replace(self, key: str, origin: str, outcome: Outcome, *, keep: float) -> None:
        """See :class:`LeaseStore`."""
        await checkpoint()
        self._epoch += 1
        state = self._states[key] = State()
        state.epoch = self._epoch
        self._store(state, replace(outcome, epoch=state.epoch), keep)
        self._publish(Notice(key, origin), None)
        self._forget(key, state)

    async def read(self, key: str) -> Outcome | None:
        """See :class:`LeaseStore`."""
        await checkpoint()
        state = self._known(key)
        return None if state is None else self._outcome(state, current_time())

    async def tag(self, key: str, tags: frozenset[str], *, keep: float) -> None:
        """See :class:`LeaseStore`."""
        await checkpoint()
        until = current_time() + keep
        for tag in tags:
            tagged = self._tags.setdefault(tag, {})
            tagged[key] = max(until, tagged.get(key, 0))

    async def tagged(self, tag: str) -> list[str]:
        """See :class:`LeaseStore`."""
        await checkpoint()
        now = current_time()
        live = {key: until for key, until in self._tags.pop(tag, {}).items() if until > now}
        if live:
            self._tags[tag] = live
        return list(live)

    async def keys(self) -> AsyncGenerator[str, None]:
        """See :class:`LeaseStore`."""
        await checkpoint()
        for key in tuple(self._states):
            yield key

    def _sweep(self, now: float) -> None:
        """Drop what is oldest and over: more than comes with each lease."""
        for key, state in tuple(islice(self._states.items(), SWEPT)):
            del self._states[key]
            if state.expires > now:
                self._states[key] = state  # behind all others, so that these are looked at next

    def _known(self, key: str) -> State | None:
        state = self._states.get(key)
        return None if state is None or state.expires <= current_time() else state

    def _prolong(self, state: State, ttl: float) -> None:
        now = current_time()
        state.lease_ends = now + ttl
        state.expires = max(now + 2 * ttl, state.outcome_ends)

    def _store(self, state: State, outcome: Outcome, keep: float) -> None:
        state.outcome = outcome
        state.stored = current_time()
        state.outcome_ends = state.stored + keep

    def _outcome(self, state: State, now: float) -> Outcome | None:
        if state.outcome is None or state.outcome_ends <= now:
            return None
        whole = state.outcome
        return Outcome(whole.epoch, whole.kind, whole.body, now - state.stored)

    def _publish(self, notice: Notice, state: State | None) -> None:
        if state is None or state.waited:
            for hear in tuple(self._hearers):
                hear(notice)

    def _forget(self, key: str, state: State) -> None:
        """Drop a state in which nothing is left that anybody could want but an outcome."""
        if state.token is not None or state.waited:
            return
        if self._outcome(state, current_time()) is None:
            del self._states[key]
        else:
            state.expires = state.outcome_ends
