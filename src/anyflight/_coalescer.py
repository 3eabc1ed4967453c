"""The coalescer: a thin asynchronous shell around the flight table.

The table decides, the leaders run the work; here calls are taken, and wait.
"""

from __future__ import annotations

__all__ = ("Coalescer",)

from collections.abc import Awaitable, Callable, Hashable, Iterable
from sys import get_asyncgen_hooks
from typing import Any, Literal, Self, TypeVar, TypeVarTuple, Unpack

from anyio import CapacityLimiter, move_on_after
from anyio.lowlevel import checkpoint_if_cancelled

from ._across import Across, check_across
from ._announcer import Announcer
from ._calls import Calls
from ._checks import check_callable, check_hashable, check_timeout
from ._deadlock import flying, wait_within
from ._decorating import Decorating
from ._delivery import deliver
from ._errors import TooManyWaitersError, shortened
from ._events import CoalescerStatistics, Instrument
from ._flight import FlightTable
from ._leaders import Leaders
from ._led_flight import Work
from ._outcome import Value
from ._owner import Owner
from ._owning import Owning
from ._policies import Policies
from ._shadow import Shadow
from .lease import Lease

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Ts = TypeVarTuple("Ts")


class Coalescer(Decorating[K, V], Owning):
    """Lets concurrent calls for the same key share one execution of the work.

    .. code-block:: python

        import anyio
        from anyflight import Coalescer

        async def fetch_user(user_id: int) -> str:
            await anyio.sleep(0.01)
            return f"User {user_id}"

        async def main() -> None:
            async with Coalescer[int, str]() as users, anyio.create_task_group() as tasks:
                for _ in range(200):
                    tasks.start_soon(users.execute, 42, fetch_user, 42)
            assert users.statistics().flights == 1
            assert users.statistics().joined == 199

        anyio.run(main)

    Open it with ``async with``: the block owns the tasks that run the work. As with a task group,
    the task that enters the block must leave it, and no async generator should yield inside it.

    - On leaving the block, new calls, the work's own too, are refused; flights go on to their end.
    - If the block is left by an error or a cancellation, the work is cancelled. When it has ended,
      its waiters get :exc:`FlightCancelledError`, or its value if it returns one in spite of that.
      What was queued ends at once. The error comes out as it is, in no group.
    - A closed coalescer can be opened again, under another event loop too. It can be made at
      import time, before there is any.

    All of it but ``statistics`` is to be used in the event loop where it was opened; from a worker
    thread, ``anyio.from_thread.run(coalescer.execute, key, func)`` works.

    :param name: appears in the names of the leaders' tasks, in event records and in ``repr``
    :param on_abandon: what becomes of the work when every waiter has left: ``"cancel"`` cancels it,
        and calls made during its clean-up wait for a new execution that follows it; ``"finish"``
        lets it go on, and later calls may still join it
    :param retry_on: errors after which the calls that *joined* a flight fly once more, all of them
        together; the second outcome is final. The starter always gets its own error. So a failing
        key costs N waiters at most two executions
    :param flight_timeout: how many seconds a flight may take from its take-off, the time in which
        it waits for a token of the limiter included. At the deadline its work is cancelled, its
        waiters get :exc:`FlightTimeoutError` at once, and the key is free, even if the work ignores
        its cancellation
    :param max_join_age: how many seconds after the call of its function a flight may be joined. A
        call that comes later detaches it and starts a new one beside it: of work that takes S
        seconds, at most ``ceil(S / max_join_age)`` executions overlap
    :param max_waiters: how many calls may wait for one flight, the starter included
    :param limiter: bounds how many leaders run work at once; may be shared with other coalescers
        and with code of your own. The work itself must not take a token of it (as
        ``to_thread.run_sync(..., limiter=...)`` does): once leaders hold them all, none would end
    :param copy: called with the value once for each waiter that joined, which gets the result, or
        the error; the starter gets the original, and nobody else. For values that callers change
    :param context: the context variables that the work sees: a copy of the ``"caller"``'s, that is
        the starter's, or of those that were set when the coalescer was opened, the ``"owner"``'s,
        so that nothing of one request reaches work that is shared between requests
    :param instruments: told of each flight and call, see :class:`Instrument`
    :param shadow: run every call by itself in the caller's own task, as if there were no coalescer,
        and only count what would have been shared. Of the options, then, only ``on_abandon``,
        ``max_waiters`` and ``max_join_age`` count, and these change nothing but the statistics and
        what instruments are told; a call's own ``timeout`` and ``fallback`` hold as ever. A call
        makes no checkpoint of its own
    :param across: lets flights share executions with those of other processes: a flight is then one
        call of :meth:`Lease.execute <anyflight.lease.Lease.execute>`. The lease must be open before
        the coalescer, and is closed after it. A flight that waits for another process holds its
        token of the ``limiter`` meanwhile; and there is no ``max_join_age``
    """

    def __init__(  # noqa: PLR0913 - policies are independent of each other
        self,
        *,
        name: str = "coalescer",
        on_abandon: Literal["cancel", "finish"] = "cancel",
        retry_on: type[Exception] | tuple[type[Exception], ...] = (),
        flight_timeout: float | None = None,
        max_join_age: float | None = None,
        max_waiters: int | None = None,
        limiter: CapacityLimiter | None = None,
        copy: Callable[[V], V] | None = None,
        context: Literal["caller", "owner"] = "caller",
        instruments: Iterable[Instrument] = (),
        shadow: bool = False,
        across: Lease[K] | None = None,
    ) -> None:
        policies = Policies(
            name=name,
            on_abandon=on_abandon,
            retry_on=retry_on,
            flight_timeout=flight_timeout,
            max_join_age=max_join_age,
            max_waiters=max_waiters,
            limiter=limiter,
            copy=copy,
            context=context,
            instruments=instruments,
            shadow=shadow,
        )
        self._copy = copy
        self._owner = Owner(f"{type(self).__name__} {name!r}")
        observer = Announcer(name, policies.instruments) if policies.instruments else None
        self._table: FlightTable[Any] = FlightTable(
            keep_abandoned=on_abandon == "finish",
            max_waiters=max_waiters,
            max_join_age=max_join_age,
            observer=observer,
        )
        self._shadow = Shadow(self._table, self._owner) if shadow else None
        # What is in the table in shadow mode is led by nobody.
        led: FlightTable[Any] = FlightTable(keep_abandoned=False) if shadow else self._table
        self._leaders = Leaders(led, self._owner, policies)
        self._across: Across[K] | None = None
        if across is not None:
            check_across(across, max_join_age)
            self._across = Across(across, led, self._leaders)
        join = None if self._across is None else self._across.join
        self._calls = Calls(led, self._owner, self._leaders, policies, join)

    async def __aenter__(self) -> Self:
        """Open the coalescer: this task owns every leader until it leaves the block."""
        if self._across is not None:
            self._across.open()  # or raise, before anything is open
        await self._owner.open()
        return self

    async def execute(  # noqa: C901 - a coroutine just for the wait would cost every joiner
        self,
        key: K,
        func: Callable[[Unpack[Ts]], Awaitable[V]],
        *args: Unpack[Ts],
        fresh: bool = False,
        timeout: float | None = None,
        fallback: Callable[[Unpack[Ts]], Awaitable[V]] | None = None,
    ) -> V:
        """Return the value of ``func(*args)``, run once for all concurrent calls with this key.

        If a flight for ``key`` is in the air the call joins it; else it starts one, and its
        ``func`` and ``args`` are used. The function runs in a task of the coalescer's, never in the
        caller's.

        If this call is cancelled, it leaves: the work and the other waiters notice nothing. Only
        when the last one has left is the work cancelled (see ``on_abandon``). This call waits
        neither for that nor for the work's clean-up.

        This is a checkpoint, unless it raises :exc:`DeadlockError` or one of the errors of use
        below. In a scope that is cancelled already, nothing is started.

        :param key: says which calls may share a result; compared as ``dict`` does. It must name
            all that the result depends on, the tenant or user included
        :param func: an async function, or another callable that returns an awaitable
        :param args: its positional arguments
        :param fresh: join only a flight whose function has not been called yet, so that the result
            is none from before this call was made. It waits for the running flight of the key to
            end, if there is one, and then flies together with all fresh calls made meanwhile
        :param timeout: how many seconds this call waits. Then it leaves, as if it were cancelled.
            With 0 it starts nothing, and is over even where the call would be refused
        :param fallback: called with ``args`` in the caller's own task when ``timeout`` is over,
            which then is bounded by nothing but the caller's scopes; not used without ``timeout``
        :raises Exception: what the function raised. Each waiter gets a copy of its own; an
            exception that cannot be copied faithfully is shared
        :raises TimeoutError: if ``timeout`` is over and there is no ``fallback``
        :raises FlightTimeoutError: if the flight took longer than ``flight_timeout``
        :raises TooManyWaitersError: if ``max_waiters`` calls wait for the flight already
        :raises DeadlockError: if the flight whose work makes this call would wait for itself
        :raises FlightCancelledError: if the flight was cancelled, though not by its waiters leaving
        :raises RemoteFlightError: with ``across``, if the function failed in another process
        :raises LeaseUnavailableError: with ``across``, see `Lease.execute`
        :raises anyio.ClosedResourceError: if the coalescer is closing or closed
        :raises RuntimeError: if it was never opened, or was opened in another event loop or thread
        :raises TypeError: if the key is unhashable, or another argument is of the wrong type
        :raises ValueError: if ``timeout`` is negative or NaN
        """
        if timeout is not None or fallback is not None:
            return await self._execute_within(key, func, args, fresh, timeout, fallback)
        if not callable(func) or get_asyncgen_hooks()[0] is not self._owner.hook:
            check_callable(func, "func")
            await self._owner.admit()
        if self._shadow is not None:
            return await self._shadow.execute(key, func, args, fresh=fresh)
        try:
            flight = self._calls.join(key, fresh=fresh)
        except (TypeError, TooManyWaitersError) as exc:
            await self._calls.refuse(key, exc)
            raise
        starter = flight is None
        if flight is None:
            await checkpoint_if_cancelled()  # raises or returns at once: nobody comes in between
            flight = self._leaders.start(key, self._work(key, (func, args), fresh=fresh))
        final = False
        try:
            while True:
                try:
                    if flying.get(None) is None:
                        await flight.landing.wait()
                    else:
                        await wait_within(flight)
                except BaseException:  # this waiter leaves, and nobody else is touched
                    self._leaders.leave(flight)
                    raise
                if type(flight.outcome) is Value and self._copy is None:
                    value: V = flight.outcome.value
                    return value
                if final or not self._calls.flies_once_more(flight, starter=starter):
                    alone = flight.waiters == 1
                    return deliver(flight, self._copy, starter=starter, alone=alone)
                await checkpoint_if_cancelled()  # it may have been cancelled after it was woken
                final = True
                work = self._work(key, (func, args), fresh=fresh)
                flight, starter = self._calls.again(flight, work, fresh=fresh)
        finally:
            del flight  # what is raised may be kept for long, and with it this frame

    def _work(self, key: K, work: Work, *, fresh: bool) -> Work:
        return work if self._across is None else self._across.work(key, work, fresh=fresh)

    async def _execute_within(  # noqa: PLR0913, PLR0917 - passes on what it was given
        self,
        key: K,
        func: Callable[[Unpack[Ts]], Awaitable[V]],
        args: tuple[Unpack[Ts]],
        fresh: bool,
        timeout: float | None,
        fallback: Callable[[Unpack[Ts]], Awaitable[V]] | None,
    ) -> V:
        check_timeout(timeout)
        if fallback is not None:
            check_callable(fallback, "fallback")
        with move_on_after(timeout):
            return await self.execute(key, func, *args, fresh=fresh)
        if fallback is None:
            raise TimeoutError(f"no outcome for key {shortened(key)} within {timeout} seconds")
        return await fallback(*args)

    def forget(self, key: K) -> bool:
        """Detach the flight of ``key``, so that the next call starts a new one at once.

        The detached flight runs on and serves the waiters that it has. If calls are queued behind
        it, their flight takes off now, beside it, and is the one that the next call joins.

        Use it after a write, when results that were read before the write must not be joined. With
        ``across`` the next call's flight waits until the lease of what is in the air has ended; to
        void that lease, and to reach other processes, there is ``await lease.invalidate(key)``.

        :return: True if there was a flight to detach
        :raises TypeError: if the key is unhashable
        :raises RuntimeError: in another event loop or thread than where this is open, or outside
            of a task
        """
        check_hashable(key)
        self._owner.check_loop()
        flight = self._table.current(key)
        if flight is None:
            return False
        (self._shadow or self._across or self._leaders).detach(flight)
        return True

    def statistics(self) -> CoalescerStatistics:
        """Return the counters, and what is in the air now.

        May be called in any thread; but in another one than the event loop's it may come in the
        middle of a change, so that the counters differ by one from what their identities say.
        """
        table = self._table
        return CoalescerStatistics(
            calls=table.flights + table.joined + self._owner.refused - self._calls.retried,
            flights=table.flights,
            joined=table.joined,
            refused=self._owner.refused,
            retried=self._calls.retried,
            **{kind.value: count for kind, count in table.landed.items()},
            in_flight=len(table),
            waiting=table.waiting,
        )
