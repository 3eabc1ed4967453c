"""The batch loader: many keys in one execution; a thin asynchronous shell around the batches."""

from __future__ import annotations

__all__ = ("BatchLoader",)

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from sys import get_asyncgen_hooks
from typing import Generic, Literal, Self, TypeVar

from anyio import CapacityLimiter
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from ._announcer import Announcer
from ._batch import KeyFlight, KeyTable
from ._batches import Batches
from ._checks import check_hashable, checked_keys
from ._collecting import Copy, Flights, Joined, gather, settle
from ._deadlock import Waits, flying, wait_within
from ._delivery import deliver
from ._events import BatchLoaderStatistics, Instrument
from ._outcome import Value
from ._owner import Owner
from ._owning import Owning
from ._policies import Batching, Policies

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
R = TypeVar("R")


class BatchLoader(Owning, Generic[K, V]):
    """Loads the keys that many calls ask for, one by one, in few executions.

    .. code-block:: python

        import anyio
        from anyflight import BatchLoader

        async def load_users(user_ids: list[int]) -> dict[int, str]:
            # SELECT id, name FROM users WHERE id = ANY($1)
            return {user_id: f"User {user_id}" for user_id in user_ids}

        async def main() -> None:
            async with BatchLoader(load_users) as users, anyio.create_task_group() as tasks:
                for user_id in (1, 2, 3, 2, 1):
                    tasks.start_soon(users.load, user_id)
            assert users.statistics().batches == 1
            assert users.statistics().loaded == 3

        anyio.run(main)

    Each key has a flight of its own, which calls for an equal key join, whether its batch is
    pending or running. What the laws of :class:`Coalescer` say of flights holds for these: whoever
    is cancelled harms nobody, and for one key at most one execution runs at a time.

    A batch goes when

    - it is full; or
    - ``max_delay`` is over; with 0, as soon as all that could run when its first key came has run;
    - but while ``max_concurrent_batches`` are running it waits, and goes when one of them lands,
      with all that has gathered meanwhile. So batches grow with the load, and an idle loader adds
      no delay.

    A key that everybody left is taken out of a batch that has not gone. A running batch is
    cancelled when the last call that waits for any of its keys has left.

    Open it with ``async with``, as a coalescer: what is said there of leaving the block, of opening
    it again, and of other event loops and threads holds here too. When the block is left, pending
    batches do not wait for their delay any more.

    :param load_batch: an async function that is given a list of distinct keys, in the order of
        arrival, and returns a mapping from keys to values. It may leave keys out that it finds
        nothing for. A value that is an :class:`Exception` is raised for that key alone. What it
        raises is raised for all its keys, to each waiter as a copy of its own
    :param max_batch_size: how many keys a batch may have
    :param max_delay: how many seconds a batch waits for more keys after its first one
    :param max_concurrent_batches: how many batches may be running at once. A batch that has reached
        its ``flight_timeout`` does not count, even if its work goes on
    :param name: appears in the names of the leaders' tasks, in event records and in ``repr``
    :param copy: called with the value once for each waiter that joined the flight of a key, which
        gets the result, or the error; the starter gets the original. For values that callers change
    :param context: the context variables that the batch function sees: a copy of those of the
        ``"caller"`` whose key was the first, or of those that were set when the loader was opened,
        the ``"owner"``'s
    :param instruments: told of the flight of each key, and of batches; see :class:`Instrument`
    :param flight_timeout: how many seconds a batch may take from its take-off, the time in which it
        waits for a token of the limiter included; see :class:`Coalescer`
    :param limiter: bounds how many leaders run work at once, of all that share it
    """

    def __init__(  # noqa: PLR0913 - policies are independent of each other
        self,
        load_batch: Callable[[list[K]], Awaitable[Mapping[K, V | Exception]]],
        *,
        max_batch_size: int = 100,
        max_delay: float = 0,
        max_concurrent_batches: int = 4,
        name: str = "loader",
        copy: Callable[[V], V] | None = None,
        context: Literal["caller", "owner"] = "caller",
        instruments: Iterable[Instrument] = (),
        flight_timeout: float | None = None,
        limiter: CapacityLimiter | None = None,
    ) -> None:
        batching = Batching(
            load_batch=load_batch,
            max_batch_size=max_batch_size,
            max_delay=max_delay,
            max_concurrent_batches=max_concurrent_batches,
        )
        policies = Policies(
            name=name,
            flight_timeout=flight_timeout,
            limiter=limiter,
            copy=copy,
            context=context,
            instruments=instruments,
        )
        self._copy = copy
        self._owner = Owner(f"{type(self).__name__} {name!r}")
        observer = Announcer(name, policies.instruments) if policies.instruments else None
        self._table = self._keys = KeyTable(keep_abandoned=True, observer=observer)
        self._leaders = self._batches = Batches(
            self._keys, self._owner, policies, batching, observer
        )

    async def __aenter__(self) -> Self:
        """Open the loader: this task owns every leader until it leaves the block."""
        await self._owner.open()
        self._batches.open()
        return self

    async def load(self, key: K, *, fresh: bool = False) -> V:
        """Return the value for ``key``, loaded together with other keys.

        If a flight for the key is pending or running, the call joins it.

        If this call is cancelled, it leaves: the batch and the other waiters notice nothing. This
        call waits neither for the batch nor for its clean-up.

        This is a checkpoint, unless it raises :exc:`DeadlockError` or one of the errors of use
        below. In a scope that is cancelled already, nothing is started.

        :param fresh: join only a flight whose batch has not begun yet, so that the value is none
            from before this call was made. If the key is in a running batch, it waits for that to
            end, and then goes into the next one
        :raises MissingKeyError: if the batch function returned nothing for the key
        :raises Exception: what it returned for the key, or raised
        :raises FlightTimeoutError: if the batch took longer than ``flight_timeout``
        :raises DeadlockError: if the work that makes this call would wait for itself, also because
            it and others like it are all the batches that may run at once
        :raises FlightCancelledError: if the flight was cancelled, though not by its waiters leaving
        :raises anyio.ClosedResourceError: if the loader is closing or closed
        :raises RuntimeError: if it was never opened, or was opened in another event loop or thread
        :raises TypeError: if the key is unhashable, or the batch function returned no mapping
        """
        if get_asyncgen_hooks()[0] is not self._owner.hook:
            await self._owner.admit()
        try:
            flight = self._keys.join(key, fresh=fresh)
        except TypeError:
            check_hashable(key)
            raise
        starter = flight is None
        if flight is None:
            await checkpoint_if_cancelled()  # raises or returns at once: nobody comes in between
            flight = self._batches.add(key)
        elif not flight.counted:
            self._batches.rejoin(flight)
        try:
            try:
                if flying.get(None) is None:
                    await flight.landing.wait()
                else:
                    await wait_within(flight)
            except BaseException:  # this waiter leaves, and nobody else is touched
                self._batches.leave_key(flight)
                raise
            if type(flight.outcome) is Value and self._copy is None:
                value: V = flight.outcome.value
                return value
            return deliver(flight, self._copy, starter=starter, alone=False)
        finally:
            del flight  # what is raised may be kept for long, and with it this frame

    async def load_many(self, keys: Iterable[K], *, fresh: bool = False) -> dict[K, V]:
        """Return the values for ``keys``, in their order; those that have none are left out.

        It is as if each distinct key were loaded by a `load` of its own, and at the first error, in
        the order of the keys, the others were cancelled. So if this call is cancelled, it leaves
        the flight of each key, and nobody else notices. It is a checkpoint without keys, too.

        :raises Exception: as `load`, but no :exc:`MissingKeyError`
        """
        return await self._wait_for(keys, gather, fresh=fresh)

    async def load_each(self, keys: Iterable[K], *, fresh: bool = False) -> dict[K, V | Exception]:
        """Return for each of ``keys``, in their order, its value or its error; raise none of these.

        Otherwise as `load_many`. For a key that has no value the error is a
        :exc:`MissingKeyError`. No value is an exception, since a batch function returns those for
        keys that have failed.
        """
        return await self._wait_for(keys, settle, fresh=fresh)

    async def _wait_for(
        self,
        keys: Iterable[K],
        collect: Callable[[Flights[K], Joined, Copy[V] | None], Awaitable[dict[K, R]]],
        *,
        fresh: bool,
    ) -> dict[K, R]:
        distinct = checked_keys(keys)
        if get_asyncgen_hooks()[0] is not self._owner.hook:
            await self._owner.admit()
        if not distinct:
            await checkpoint()
            return {}
        await checkpoint_if_cancelled()
        flights: dict[K, KeyFlight] = {}
        joined: set[KeyFlight] = set()
        flight: KeyFlight | None = None
        try:
            self._batches.ask_for(distinct, flights, joined, fresh=fresh)
            with Waits(tuple(flights.values())):
                await next(iter(flights.values())).landing.wait()  # a checkpoint, whatever comes
                return await collect(flights, joined, self._copy)
        except BaseException:  # this waiter leaves, and nobody else is touched
            for flight in flights.values():
                self._batches.leave_key(flight)
            flight = None  # what is raised may be kept for long, and with it this frame
            raise
        finally:
            flights.clear()  # the same
            joined.clear()

    def forget(self, key: K) -> bool:
        """Detach the flight of ``key`` if its batch runs, so that the next call loads it anew.

        The batch runs on, and the detached flight serves the waiters that it has. The next call
        puts the key into the next batch, which may run beside that one.

        Use it after a write, when a value that was read before the write must not be joined. A key
        in a pending batch will be read after the write anyway.

        :return: True if there was a flight to detach
        :raises TypeError: if the key is unhashable
        :raises RuntimeError: in another event loop or thread than where this is open, or outside
            of a task
        """
        check_hashable(key)
        self._owner.check_loop()
        flight = self._keys.current(key)
        if flight is None or flight.began is None:
            return False
        self._batches.detach_key(flight)
        return True

    def _running_since(self, key: K) -> float | None:
        """Return when the batch began that a call for ``key`` would join; None if none has."""
        flight = self._keys.current(key)
        return None if flight is None else flight.began

    def statistics(self) -> BatchLoaderStatistics:
        """Return the counters, and what is in the air now.

        May be called in any thread; see `Coalescer.statistics`.
        """
        table = self._keys
        return BatchLoaderStatistics(
            calls=table.flights + table.joined + self._owner.refused,
            flights=table.flights,
            joined=table.joined,
            refused=self._owner.refused,
            **{kind.value: count for kind, count in table.landed.items()},
            in_flight=len(table),
            waiting=table.waiting,
            batches=self._batches.started,
            loaded=self._batches.loaded,
        )
