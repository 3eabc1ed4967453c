"""What a lease is given for a store: it asks the server through the network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from typing import Any, NoReturn

import trio

from anyflight.lease import Acquired, Busy, Hear, Notice, Outcome
from proof.lease.history import Ask, LeaseHistory, Lived, Part
from proof.lease.network import Network, Subscription

taking_part: ContextVar[Part | None] = ContextVar("taking_part", default=None)
"""The call of ``Lease.execute`` that is being made."""


class Client:
    """A :class:`LeaseStore`, of one process.

    A process whose clock counts ``rate`` seconds in one of the server's does everything as one with
    a right clock would whose seconds were so much shorter. So the lease of such a process is given
    shorter times, and what it says to the server, or is told, is translated here.
    """

    def __init__(self, process: Lived, network: Network, history: LeaseHistory) -> None:
        self._process = process
        self._rate = process.plan.rate
        self._network = network
        self._history = history
        self._origin = ""

    async def check(self) -> None:
        """See :class:`LeaseStore`."""
        await self._ask("check")

    async def listen(self, hear: Hear, live: Callable[[], None]) -> None:
        """See :class:`LeaseStore`."""
        subscription: Subscription = await self._ask("subscribe")
        try:
            self._process.live.append(self._history.note(self._process, "listens"))
            live()
            while True:
                await subscription.news()
                while subscription.inbox:
                    notice = subscription.inbox.popleft()
                    self._history.hears(self._process, notice)
                    hear(self._as_sent(notice))
        finally:
            self._network.unsubscribe(subscription)

    async def acquire(self, key: str, token: str, *, ttl: float, since: int) -> Acquired:
        """See :class:`LeaseStore`."""
        answer: Acquired
        answer = await self._ask("acquire", key, token, ttl=ttl * self._rate, since=since)
        if isinstance(answer, Busy):
            return Busy(answer.epoch, answer.remaining / self._rate)
        return answer

    async def renew(self, key: str, token: str, *, ttl: float) -> bool:
        """See :class:`LeaseStore`."""
        renewed: bool = await self._ask("renew", key, token, ttl=ttl * self._rate)
        return renewed

    async def commit(
        self, key: str, token: str, outcome: Outcome, *, keep: float, wanted: bool
    ) -> bool:
        """See :class:`LeaseStore`."""
        keep *= self._rate
        committed: bool = await self._ask(
            "commit", key, token, outcome=outcome, keep=keep, wanted=wanted
        )
        return committed

    async def release(self, key: str, token: str) -> bool:
        """See :class:`LeaseStore`."""
        released: bool = await self._ask("release", key, token)
        return released

    async def invalidate(self, key: str, origin: str) -> None:
        """See :class:`LeaseStore`."""
        self._origin = origin
        await self._ask("invalidate", key, origin=str(self._process))

    def _as_sent(self, notice: Notice) -> Notice:
        # What a lease calls itself is drawn; here it is the same in each run.
        mine = notice.invalidated == str(self._process)
        return Notice(notice.key, self._origin) if mine else notice

    async def invalidate_all(self, origin: str) -> NoReturn:
        """Raise: as `read`."""
        raise NotImplementedError

    async def replace(self, key: str, origin: str, outcome: Outcome, *, keep: float) -> NoReturn:
        """Raise: as `read`."""
        raise NotImplementedError

    async def read(self, key: str) -> NoReturn:
        """Raise: a lease alone does not ask this."""
        raise NotImplementedError

    async def tag(self, key: str, tags: frozenset[str], *, keep: float) -> NoReturn:
        """Raise, as `read`."""
        raise NotImplementedError

    async def tagged(self, tag: str) -> NoReturn:
        """Raise, as `read`."""
        raise NotImplementedError

    def keys(self) -> AsyncGenerator[str, None]:
        """Raise, as `read`."""
        raise NotImplementedError

    async def _ask(self, method: str, key: str = "", token: str = "", **args: Any) -> Any:
        history, part = self._history, taking_part.get()
        if self._network.is_closed:
            raise ConnectionResetError("this process was killed long ago")
        ask = Ask(self._process, part, method, key, token, args)
        history.sends(ask)
        self._network.send(ask)
        try:
            await ask.event.wait()
        except trio.Cancelled:
            self._network.give_up(ask)
            self._end(ask, "has waited for long enough")
            raise
        if ask.error:
            self._end(ask, ask.error)
            raise ConnectionResetError(f"{ask}: {ask.error}")
        ask.returned = history.note(ask, "is answered")
        return ask.answer

    def _end(self, ask: Ask, error: str) -> None:
        ask.failed = True
        ask.returned = self._history.note(ask, "fails:", error)
