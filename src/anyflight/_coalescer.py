"""The coalescer: a thin asynchronous shell around the flight table.

The table decides. What is left for this module is what takes a task or an await: the owner's task
group, the leaders in it, and the waiting.
"""

from __future__ import annotations

__all__ = ("Coalescer",)

from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context, copy_context
from inspect import isawaitable
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, TypeVarTuple, Unpack, cast

from anyio import Event, TaskHandle, current_time, move_on_after
from anyio.lowlevel import checkpoint_if_cancelled

from ._checks import check_callable, check_choice, check_hashable, check_timeout, not_awaitable
from ._events import CoalescerStatistics, FlightInfo
from ._flight import Flight, FlightTable, Place
from ._outcome import OWNER_GONE, Cancellation, Failure, Outcome, Value, judge
from ._owner import Owner, Phase

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Ts = TypeVarTuple("Ts")


class _Flight(Flight):
    """A flight with what its leader needs, and what its waiters wait for."""

    __slots__ = ("context", "landing", "leader", "work")

    def __init__(
        self, key: Hashable, work: tuple[Callable[..., Awaitable[Any]], tuple[Any, ...]]
    ) -> None:
        super().__init__(key)
        #: The starter's function and arguments, until the leader takes them.
        self.work = work
        #: The context to start the leader in; None: the one that is current when it is started.
        self.context: Context | None = None
        #: The task that runs the work, from take-off on.
        self.leader: TaskHandle[None]
        #: What the waiters wait for. A leader's end wakes them at no extra cost; a flight that was
        #: queued has waiters before it has a leader, so it pays for an event of its own.
        self.landing: TaskHandle[None] | Event


class Coalescer(Generic[K, V]):
    """Lets concurrent calls for the same key share one execution of the work.

    Open it with ``async with``: the block owns the tasks that run the work. On leaving the block,
    new calls are refused and those under way are served to the end; if it is left by an error or a
    cancellation, the work is cancelled and whoever waits gets :exc:`FlightCancelledError`. A closed
    coalescer can be opened again, under another event loop too. It can be made at import time.

    Except for ``statistics`` and ``flights``, all is to be used in the event loop where it was
    opened; from a worker thread, ``anyio.from_thread.run(coalescer.execute, key, func)`` works.

    :param name: appears in the names of the leaders' tasks and in ``repr``
    :param on_abandon: what becomes of the work when every waiter has left: ``"cancel"`` cancels it,
        and calls made during its clean-up wait for a new execution that follows it; ``"finish"``
        lets it go on, and later calls may still join it
    :param copy: makes, of the value, what each waiter that joined gets; the starter gets the
        original. For values that callers change
    :param context: the context variables that the work sees: a copy of the ``"caller"``'s, that is
        the starter's, or of those that were set when the coalescer was opened, the ``"owner"``'s,
        so that nothing of one request reaches work that is shared between requests
    """

    def __init__(
        self,
        *,
        name: str = "coalescer",
        on_abandon: Literal["cancel", "finish"] = "cancel",
        copy: Callable[[V], V] | None = None,
        context: Literal["caller", "owner"] = "caller",
    ) -> None:
        check_choice(on_abandon, "on_abandon", ("cancel", "finish"))
        check_choice(context, "context", ("caller", "owner"))
        if copy is not None:
            check_callable(copy, "copy")
        self._copy = copy
        self._owner = Owner(f"{type(self).__name__} {name!r}", context=context)
        self._table: FlightTable[_Flight] = FlightTable(keep_abandoned=on_abandon == "finish")

    def __repr__(self) -> str:
        return f"<{self._owner}, {len(self._table)} in flight>"

    async def __aenter__(self) -> Self:
        """Open the coalescer: this task owns every leader until it leaves the block."""
        await self._owner.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        """Close the coalescer: refuse new calls, and wait until all flights have landed."""
        if exc_val is not None:
            self._abort()
        return await self._owner.close(exc_type, exc_val, exc_tb)

    async def execute(
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
        ``func`` and ``args`` are used. The function runs in a task of its own, never in the
        caller's.

        If this call is cancelled, it leaves: the work and the other waiters notice nothing. Only
        when the last one has left is the work cancelled (see ``on_abandon``). This call waits
        neither for that nor for the work's clean-up.

        This is a checkpoint, whether it returns a value or raises what the work raised. In a scope
        that is cancelled already, nothing is started.

        :param key: says which calls may share a result; compared as ``dict`` does. It must name
            all that the result depends on, the tenant or user included
        :param func: an async function, or another callable that returns an awaitable
        :param args: its positional arguments
        :param fresh: join only a flight whose function has not been called yet, so that the result
            is none from before this call was made. It waits for the running flight of the key to
            end, if there is one, and then flies together with all fresh calls made meanwhile
        :param timeout: how many seconds this call waits. Then it leaves, as if it were cancelled
        :param fallback: called with ``args`` in the caller's own task when ``timeout`` is over
        :raises Exception: what the function raised. Each waiter gets a copy of its own; an
            exception that cannot be copied faithfully is shared
        :raises TimeoutError: if ``timeout`` is over and there is no ``fallback``
        :raises FlightCancelledError: if the flight was cancelled, though not by its waiters leaving
        :raises anyio.ClosedResourceError: if the coalescer is closing or closed
        :raises RuntimeError: if it was never opened, or was opened in another event loop or thread
        :raises TypeError: if the key is unhashable, or ``func`` or ``fallback`` is not callable
        :raises ValueError: if ``timeout`` is negative or NaN
        """
        if timeout is not None or fallback is not None:
            return await self._execute_within(key, func, args, fresh, timeout, fallback)
        if self._owner.phase is not Phase.OPEN:
            await self._owner.refuse()
        self._owner.check_loop()
        check_callable(func, "func")
        try:
            flight = self._table.join(key, fresh=fresh)
        except TypeError:
            check_hashable(key)
            raise
        starter = flight is None
        if flight is None:
            await checkpoint_if_cancelled()  # raises or returns at once: nobody comes in between
            flight = self._start(key, func, args)
        try:
            await flight.landing.wait()
        except BaseException:  # this waiter leaves, and nobody else is touched
            if self._table.leave(flight):
                flight.leader.cancel()
            raise
        outcome = flight.outcome
        if isinstance(outcome, Value):
            value: V = outcome.value
            return value if starter or self._copy is None else self._copy(value)
        try:
            failure = cast("Failure | Cancellation", outcome)
            raise failure.to_raise(flight.key, alone=flight.waiters == 1)
        finally:
            # The traceback of the error holds this frame: it must not hold the error in turn.
            del flight, outcome, failure

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
            raise TimeoutError(f"no outcome for key {key!r} within {timeout} seconds")
        return await fallback(*args)

    def forget(self, key: K) -> bool:
        """Detach the flight of ``key``, so that the next call starts a new one at once.

        The detached flight runs on and serves the waiters that it has. If calls are queued behind
        it, their flight takes off now, beside it, and is the one that the next call joins.

        Use it after a write, when results that were read before the write must not be joined.

        :return: True if there was a flight to detach
        :raises TypeError: if the key is unhashable
        """
        check_hashable(key)
        flight = self._table.current(key)
        if flight is None:
            return False
        self._owner.check_loop()
        self._promote(self._table.detach(flight))
        return True

    def statistics(self) -> CoalescerStatistics:
        """Return the counters, and what is in the air now. Safe from any thread."""
        table = self._table
        return CoalescerStatistics(
            calls=table.flights + table.joined + self._owner.refused,
            flights=table.flights,
            joined=table.joined,
            refused=self._owner.refused,
            succeeded=table.succeeded,
            failed=table.failed,
            cancelled=table.cancelled,
            in_flight=len(table),
            waiting=sum(flight.waiters for flight in table),
        )

    def flights(self) -> tuple[FlightInfo, ...]:
        """Describe every flight in the air, a queued one right after the one it waits for."""
        if not len(self._table):
            return ()
        now = current_time()
        return tuple(flight.info(now) for flight in self._table)

    # How a flight takes off, is led, and lands.

    def _start(
        self, key: Hashable, func: Callable[..., Awaitable[Any]], args: tuple[Any, ...]
    ) -> _Flight:
        flight = _Flight(key, (func, args))
        self._table.add(flight)
        flight.context = self._owner.context
        if flight.place is Place.QUEUED:
            flight.landing = Event()
            # It will be started from its predecessor's task: the caller's context is here and now.
            flight.context = flight.context or copy_context()
        else:
            self._take_off(flight)
            flight.landing = flight.leader
        return flight

    def _take_off(self, flight: _Flight) -> None:
        try:
            flight.leader = self._owner.start(self._lead(flight), context=flight.context)
        except Exception as exc:
            self._table.land(flight, Failure(exc, exc.__traceback__))
            raise

    async def _lead(self, flight: _Flight) -> None:
        """Run the work; let nothing out that is not meant for the owner.

        On asyncio a cancellation that leaves a task cancels the whole group. So none leaves, whose
        ever it was: with its landing a leader is at its end anyway.
        """
        if not self._table.begin(flight, current_time()):
            return  # every waiter left before this first step
        func, args = flight.work
        del flight.work
        outcome: Outcome[Any] | None
        try:
            result = func(*args)
            if not isawaitable(result):
                raise not_awaitable(func, result)  # noqa: TRY301 - an error of the work like others
            outcome = Value(await result)
        except BaseException as exc:
            outcome = judge(exc)
            if outcome is None:
                self._abort()
                self._land(flight, OWNER_GONE)
                del flight
                raise
        self._land(flight, outcome)
        # From Python 3.12 on, the frames of the work lead back to this one (`f_back`) and live as
        # long as its exception does: nothing that holds the exception may be left in here.
        del flight, outcome

    def _land(self, flight: _Flight, outcome: Outcome[Any]) -> None:
        successor = self._table.land(flight, outcome)
        _wake(flight)
        self._promote(successor)

    def _promote(self, successor: _Flight | None) -> None:
        if successor is None:
            return
        try:
            self._take_off(successor)
        except Exception:  # noqa: BLE001 - it has landed with that: a concern of its waiters only
            _wake(successor)

    def _abort(self) -> None:
        self._owner.refuse_calls()
        for flight in self._table.abort(OWNER_GONE):
            _wake(flight)


def _wake(flight: _Flight) -> None:
    """Wake the waiters of a flight that has landed, as far as its leader's end does not do it."""
    if isinstance(flight.landing, Event):
        flight.landing.set()
