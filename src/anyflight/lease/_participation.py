"""One call's part in the protocol: ask, then lead, or wait and ask again.

States of a participation, and what moves it:

    ASKING    --Won-->          LEADING
    ASKING    --Busy-->         WAITING, from now on for this epoch or a later one
    ASKING    --Hit-->          over: the outcome of another
    ASKING    --unreachable-->  ALONE
    WAITING   --a message, the end of the lease, or the poll interval-->  ASKING
    LEADING   --the work ends-->        over: the outcome is committed, or fenced
    LEADING   --the lease is lost-->    ASKING
    ALONE     --the work ends-->        over

A cancellation ends it in any state; what it holds, or may hold, it lets go.
"""

from __future__ import annotations

__all__ = ("Participation",)

import math
import random
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from secrets import token_hex
from typing import Any, Final, Generic, TypeVar

from anyio import (
    CancelScope,
    Event,
    current_effective_deadline,
    current_time,
    move_on_after,
)
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from anyflight._errors import FlightCancelledError, MissingKeyError
from anyflight._owner import Phase

from ._errors import unavailable
from ._events import LeaseEnd, LeaseEnded
from ._held import Held, holding
from ._outcomes import Terms, error_outcome, remote_error
from ._requests import Unreachable
from ._shared import Fetched, Shared
from ._store import Acquired, Busy, Hit, Outcome, OutcomeKind, Won

V = TypeVar("V")

#: By which part of the poll interval those who wait for the end of a lease come after it at most,
#: so that they do not come all at once.
SPREAD: Final = 1 / 4
LOST: Final = object()


class Participation(Generic[V]):
    """One call of ``execute``.

    :param work: to be run here, if it falls to this call
    :param since: the lowest epoch whose outcome may be used; 0 if only one that runs when the
        server is first asked
    :param fresh: whether not even that may be used, but only what is begun later
    """

    __slots__ = (
        "_asked",
        "_began",
        "_fresh",
        "_key",
        "_name",
        "_shared",
        "_since",
        "_terms",
        "_work",
        "way",
    )

    def __init__(  # noqa: PLR0913 - made in one place
        self,
        shared: Shared,
        terms: Terms,
        work: Callable[[], Awaitable[V]],
        *,
        key: Hashable,
        name: str,
        since: int,
        fresh: bool,
    ) -> None:
        self._shared = shared
        self._terms = terms
        self._work = work
        self._key = key
        self._name = name
        self._since = since
        self._fresh = fresh
        #: Whether the server has been asked: what is usable now may be waited for by others too.
        self._asked = False
        #: The counter that tells which way it came by what it got.
        self.way = "given_up"
        self._began = current_time()

    async def run(self) -> Fetched:
        """Return the value, of whosever work."""
        requests = self._shared.requests
        # Work that is cancelled with its lease is run again, but not again and again: of work that
        # blocks the event loop for longer than a lease lasts there would be no end.
        finishes = self._shared.settings.on_lost == "finish"
        error, orphan = None, ""
        while requests.take_try():
            with self._shared.hearing.news(self._name) as news:
                token = token_hex(12)
                try:
                    answer, sent = await self._acquire(token)
                except Unreachable as exc:
                    error = exc.__cause__
                    orphan = token if error else ""
                    break  # what the work raises has nothing to do with this
                if isinstance(answer, Busy):
                    # A fresh call may not use what was begun before it.
                    self._since = self._since or answer.epoch + self._fresh
                    await self._wait(news.event, answer.remaining)
                    continue
            if isinstance(answer, Hit):
                if news.invalidated:
                    # Who has joined this call's flight since then may not be given what is older.
                    continue
                return await self._use(answer.outcome)
            self._since = self._since or answer.epoch
            self._shared.counters.won += 1
            held = Held(self._key, self._name, token, answer.epoch, finishes=finishes)
            if news.named:  # perhaps after it was won: the message may have overtaken that
                held.doubted = held.began
            led = await self._lead(held, sent)
            if led is not None:
                return led
            finishes = True
        else:
            await checkpoint()
        try:
            return await self._unreachable(error, orphan)
        finally:
            del error  # whose traceback leads to this frame

    async def _acquire(self, token: str) -> tuple[Hit | Won | Busy, float]:
        """Return the answer, and when the request was sent."""
        sent = -math.inf

        def request() -> Awaitable[Acquired]:
            nonlocal sent
            sent = current_time()
            return self._shared.store.acquire(
                self._name, token, ttl=self._shared.settings.ttl, since=since, waited=waited
            )

        await checkpoint_if_cancelled()
        self._check_owner()
        requests, since = self._shared.requests, self._since
        waited, self._asked = self._asked, True
        try:
            answer = await requests.ask_in_turn(requests.beginning, request)
            if isinstance(answer, Won):
                self._check_owner()
        except (Unreachable, GeneratorExit):  # with the latter the event loop is gone
            raise
        except BaseException:  # if it is a native cancellation, nobody knows the answer
            if sent > -math.inf:
                await self._release(token)
            raise
        return answer, sent

    def _check_owner(self) -> None:
        """Raise if the block of the lease was not left normally: nobody keeps leases any more."""
        owner = self._shared.owner
        if owner.phase not in {Phase.OPEN, Phase.CLOSING}:
            raise FlightCancelledError(
                f"{owner} was cancelled or left by an error while this call waited", self._key
            )

    async def _wait(self, news: Event, remaining: float) -> None:
        """Wait for a message, for the end of the lease, or for the poll interval."""
        poll, counters = self._shared.settings.poll_interval, self._shared.counters
        pause = poll * random.uniform(0.5, 1)  # noqa: S311 - to spread the requests
        end = max(remaining, 0) + poll * random.uniform(0, SPREAD)  # noqa: S311 - the same
        with move_on_after(min(pause, end)) as scope:
            await news.wait()
        if scope.cancelled_caught:
            counters.polls += 1
        else:
            counters.woken += 1

    async def _use(self, outcome: Outcome) -> Fetched:
        """Return, or raise, what came of another's work."""
        error = None
        try:
            if outcome.kind is self._terms.kind:
                fetched = Fetched(self._terms.codec.decode(outcome.body), outcome.age)
                self.way = "shared"
                return fetched
            if outcome.kind is OutcomeKind.ERROR:
                error = remote_error(self._key, outcome.body)
        except Exception as exc:  # noqa: BLE001 - the codec is the user's, the body anybody's
            self._shared.refused("decode", self._key, exc)
        if error is None:
            return await self._alone("ran_unshared")
        self.way = "remote_errors"
        try:
            raise error
        finally:
            del error  # whose traceback leads to this frame

    async def _unreachable(self, error: BaseException | None, orphan: str) -> Fetched:
        if self._shared.settings.on_unreachable == "raise":
            raise unavailable(self._key, error) from error
        return await self._alone("ran_unreachable", orphan)

    async def _alone(self, way: str, orphan: str = "") -> Fetched:
        """Run the work without a lease.

        :param orphan: the token of a request that may have been obeyed, and only the answer be late
        """
        await checkpoint_if_cancelled()
        self.way = way
        holdings = self._shared.holdings
        held = Held(self._key, self._name)
        holdings.add(held, 0)
        try:
            with holding(held):
                fetched = Fetched(await self._work())
            if orphan and self._shared.requests.reachable:
                await self._release(orphan)
            return fetched
        finally:
            holdings.discard(held)

    async def _lead(self, held: Held, sent: float) -> Fetched | None:
        """Run the work under the lease; None if it lost that."""
        holdings = self._shared.holdings
        end = LeaseEnd.RELEASED
        holdings.add(held, sent)
        try:
            value: Any = LOST
            try:
                await checkpoint_if_cancelled()
                # A process that was stopped may learn that it has a lease when that is over.
                if current_time() < held.scope.deadline:
                    with held.scope, holding(held):
                        value = await self._work()
            except Exception as exc:
                # What work makes of its cancellation is nobody's outcome.
                if current_effective_deadline() == -math.inf:
                    await self._release(held.token)
                    raise
                if not held.scope.cancel_called:
                    self.way = "ran"
                    record = error_outcome(held.epoch, exc)
                    # That there is no value is to take the place of one that is stored.
                    wanted = isinstance(exc, MissingKeyError)
                    end = await self._commit(held, record, self._terms.error_keep, wanted=wanted)
                    raise
            if value is LOST:
                end = LeaseEnd.LOST
                await self._release(held.token)  # it may be that nobody has it yet
                return None
            self.way = "ran"
            terms = self._terms
            outcome = self._shared.outcome_of(self._key, held.epoch, value, terms)
            wanted = outcome.kind is terms.kind
            keep = terms.keep(value) if wanted else terms.error_keep
            end = await self._commit(held, outcome, keep, wanted=wanted)
        except (Exception, GeneratorExit):  # with the latter the event loop is gone
            raise
        except BaseException:
            await self._release(held.token)
            raise
        else:
            return Fetched(value, fenced=end is LeaseEnd.FENCED)
        finally:
            holdings.discard(held)
            self._shared.counters.add(end.value)
            self._tell(held, end)

    async def _commit(self, held: Held, outcome: Outcome, keep: float, *, wanted: bool) -> LeaseEnd:
        shared = self._shared
        wanted = wanted and self._terms.wanted
        name, token, committed = held.name, held.token, False
        try:
            with CancelScope(shield=True):
                committed = await shared.requests.ask_in_turn(
                    shared.requests.ending,
                    lambda: shared.store.commit(name, token, outcome, keep=keep, wanted=wanted),
                )
        except Unreachable:
            return LeaseEnd.UNCOMMITTED
        return LeaseEnd.COMMITTED if committed else LeaseEnd.FENCED

    async def _release(self, token: str) -> None:
        """Give up a lease, if this token holds it; if that fails, it ends by itself."""
        requests, store = self._shared.requests, self._shared.store
        with suppress(Unreachable), CancelScope(shield=True):
            await requests.ask_in_turn(requests.ending, lambda: store.release(self._name, token))

    def _tell(self, held: Held, end: LeaseEnd) -> None:
        now = current_time()
        delay, duration = held.began - self._began, now - held.began
        event = LeaseEnded(self._shared.settings.name, self._key, held.epoch, end, delay, duration)
        self._shared.telling.tell("lease_ended", event)
