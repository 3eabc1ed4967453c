"""The batches: which of them a key goes in, when one goes, and what its keys get.

A batch goes through these states; each arrow is one method here::

    GATHERING --> READY --> TAKEN OFF --> BEGUN --> LANDED
    (a delay)  (no slot)  (its leader)  (keys fixed)

1. A batch gathers as long as it has not begun and is not full. So it takes more keys while it is
   ready, and while its leader waits for a token of the limiter; and if it was full, and one of its
   keys has left, it takes another. Only then may more than one gather; a key goes into the first.
2. A batch is ready when it is full or its delay is over; without a delay, at once. It begins in the
   second turn of the event loop after that: what could run by then has run, also what was woken
   by the landing that gave it its slot (on Trio in the same turn as its leader, in any order).
3. A batch that is ready takes off when a slot is free, and gives the slot back when it lands. The
   one that gathers need not be ready if it has been waiting for a slot.
4. ``batch.limiter`` is what it waits for: the slots, until it has one.
5. The keys that every waiter has left are in no batch that has not begun.
"""

from __future__ import annotations

__all__ = ("Batches",)

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from contextvars import Context
from inspect import isawaitable
from itertools import chain, repeat
from typing import Any, TypeVar, cast

from anyio import CapacityLimiter, Event
from anyio.lowlevel import checkpoint

from ._announcer import Announcer
from ._batch import Batch, BatchTable, KeyFlight, KeyTable
from ._checks import not_awaitable, not_mapping
from ._deadlines import Deadlines
from ._leaders import Leaders
from ._led_flight import Leader, LedFlight
from ._outcome import OWNER_GONE, Outcome, Value, outcomes_of
from ._owner import Owner, Phase
from ._policies import Batching, Policies

K = TypeVar("K", bound=Hashable)


class Batches(Leaders):
    """Starts batches, and their leaders."""

    __slots__ = (
        "_announcer",
        "_batching",
        "_delays",
        "_gathering",
        "_keys",
        "_ready",
        "_slots",
        "loaded",
        "started",
    )

    def __init__(
        self,
        keys: KeyTable,
        owner: Owner,
        policies: Policies,
        batching: Batching,
        announcer: Announcer | None,
    ) -> None:
        super().__init__(BatchTable(self._landed), owner, policies)
        self._keys = keys
        self._announcer = announcer
        self._batching = batching
        #: Those that a key can still go into.
        self._gathering: dict[Batch, None] = {}
        #: Those that have everything but a slot, the oldest first.
        self._ready: OrderedDict[Batch, None] = OrderedDict()
        self._slots: CapacityLimiter
        delay = batching.max_delay
        self._delays = Deadlines(owner, delay, self._go) if delay else None
        #: How many batches have begun, and how many keys were in them.
        self.started = 0
        self.loaded = 0

    def open(self) -> None:
        """Be ready for keys, in the event loop of the owner."""
        self._slots = CapacityLimiter(self._batching.max_concurrent_batches)

    def rejoin(self, flight: KeyFlight) -> None:
        """Take note of a waiter that has joined a flight which all had left."""
        flight.counted = True
        cast("Batch", flight.batch).wanted += 1

    def ask_for(
        self,
        keys: Iterable[K],
        flights: dict[K, KeyFlight],
        joined: set[KeyFlight],
        *,
        fresh: bool,
    ) -> None:
        """Add a waiter for each key; fill ``flights``, and ``joined`` with what was there."""
        join, add = self._keys.join, self.add
        for key in keys:
            flight = join(key, fresh=fresh)
            if flight is None:
                flights[key] = add(key)
                continue
            flights[key] = flight
            joined.add(flight)
            if not flight.counted:
                self.rejoin(flight)

    def add(self, key: Hashable) -> KeyFlight:
        """Add a flight with one waiter; it is queued, or in a batch."""
        if self._owner.hook_is_shared:
            self._owner.check_loop()
        flight = KeyFlight(key)
        self._keys.add(flight)
        if flight.predecessor is not None:
            flight.context, flight.landing = self._context(), self._owner.new_event()
        elif flight.batch is None:  # else an instrument has let it go, see `Leaders.start`
            self._board(flight)
        return flight

    def leave_key(self, flight: KeyFlight) -> None:
        """Take a waiter away; the last one takes the key out, or gives up the batch."""
        self._keys.leave(flight)
        if flight.waiters:  # as ever if it has landed: then this waiter still counts
            return
        batch = flight.batch
        if flight.outcome is not None and (batch is None or flight.landing is not batch.landing):
            flight.landing.set()  # it is, or was, queued: the owner may wait for it
        if batch is None:
            return
        if flight.began is None:  # it has landed with that
            flight.batch = None
            del batch.flights[flight]
            self._gathering[batch] = None  # it may have been full
        flight.counted = False
        batch.wanted -= 1
        if not batch.wanted:
            self.leave(batch)

    def detach_key(self, flight: KeyFlight) -> None:
        """Take the flight of a key out of the table; the one behind it goes into the next batch."""
        successor = self._keys.detach(flight)
        if successor is not None:
            self._board(successor)

    def abort(self) -> None:
        """Refuse new calls, and give up what has not begun; the task group cancels what has."""
        super().abort()
        for flight in self._keys.abort(OWNER_GONE):
            flight.landing.set()
        for batch in self._waiting():
            self._land(batch, OWNER_GONE)

    def _landed(self, batch: Batch) -> None:
        """Give each key its outcome, and let the next batch go."""
        self._gathering.pop(batch, None)
        self._ready.pop(batch, None)
        if self._delays is not None:
            self._delays.discard(batch)
        del batch.work  # which leads back to it
        for flight in self._land_keys(batch):
            self._board(flight)
        self._give_back_slot(batch)
        if self._announcer is not None and batch.began is not None:
            self._announcer.batch_landed(batch, len(batch.flights))

    def _land_keys(self, batch: Batch) -> list[KeyFlight]:
        """Land the flights of the keys, and wake their waiters; return those behind them."""
        outcome = cast("Outcome[list[Outcome[Any]]]", batch.outcome)
        outcomes: Iterable[Outcome[Any]]
        outcomes = outcome.value if isinstance(outcome, Value) else repeat(outcome)
        try:
            return self._keys.land_all(batch.flights, outcomes)
        except BaseException:  # a KeyboardInterrupt, see `Leaders._land`
            for flight in batch.flights:
                self._keys.land(flight, OWNER_GONE)
            raise
        finally:
            for flight in batch.flights:
                if flight.outcome is None:  # another one
                    flight.outcome = OWNER_GONE
                flight.batch = None
                if flight.landing is not batch.landing:
                    flight.landing.set()
            batch.landing.set()

    def _board(self, flight: KeyFlight) -> None:
        """Put the flight of a key that may be loaded now into the batch that gathers."""
        opened = not self._gathering
        batch = self._open(flight.context) if opened else next(iter(self._gathering))
        flight.batch = batch
        if flight.context is None:
            flight.landing = batch.landing
        batch.flights[flight] = None
        batch.wanted += 1
        if len(batch.flights) >= self._batching.max_batch_size:
            del self._gathering[batch]
            self._go(batch)
        elif opened:
            if self._delays is not None and self._owner.phase is Phase.OPEN:
                self._delays.add(batch)
            else:
                self._go(batch)

    def _open(self, context: Context | None) -> Batch:
        batch = Batch(
            self._load,
            self._context() if context is None else context,
            self._slots,
            self._limiter,
            self._owner.new_event(),
        )
        if self._announcer is not None:
            self._announcer.batch_opened(batch)
        self._table.add(batch)
        self._gathering[batch] = None
        return batch

    def _go(self, flight: LedFlight) -> None:
        """Let a batch take off as soon as there is a slot, now or later, unless it has."""
        batch = cast("Batch", flight)
        if batch.limiter is not self._slots or batch in self._ready:
            return
        if self._delays is not None:
            self._delays.discard(batch)
        if self._slots.available_tokens > 0:
            self._occupy_slot(batch)
        else:
            self._ready[batch] = None

    def _occupy_slot(self, batch: Batch) -> None:
        self._slots.acquire_on_behalf_of_nowait(batch)
        batch.limiter, batch.next_limiter = batch.next_limiter, None
        self._promote(batch)

    def _give_back_slot(self, batch: Batch) -> None:
        """Let the batch take off that waits for the slot of this one, if it had one."""
        if batch.limiter is self._slots:
            return
        awaited = self._slots.available_tokens <= 0
        self._slots.release_on_behalf_of(batch)
        following = next(chain(self._ready, self._gathering), None)
        if awaited and following is not None:
            self._ready.pop(following, None)
            self._go(following)

    async def _run(self, leader: Leader, flight: LedFlight) -> Outcome[Any]:
        await checkpoint()  # before the batch begins: one that everybody leaves now lands at once
        run = super()._run(leader, flight)
        del flight  # as in `_fly`
        return await run

    async def _load(self, batch: Batch) -> list[Outcome[Any]]:
        """Call the batch function; return the outcome of each key, in order."""
        keys = self._begin(batch)
        del batch  # an error that comes out of here leads to this frame
        result: Any = None
        try:
            result = self._batching.load_batch(keys[:])  # of which it may make what it likes
            if not isawaitable(result):
                raise not_awaitable(self._batching.load_batch, result)
            result = await result
            if not isinstance(result, Mapping):
                raise not_mapping(self._batching.load_batch, result)
            return outcomes_of(cast("Mapping[Hashable, Any]", result), keys)
        finally:
            result = None  # which may be an awaitable that holds the error

    def _begin(self, batch: Batch) -> list[Hashable]:
        """Let the flights of a batch begin; return their keys."""
        self._gathering.pop(batch, None)
        self._keys.begin_all(batch.flights, cast("float", batch.began))
        self.started += 1
        self.loaded += len(batch.flights)
        return [flight.key for flight in batch.flights]

    def _waiting(self) -> list[LedFlight]:
        """Return the batches that have not taken off."""
        return [batch for batch in self._table if batch.leader is None]

    def _queued(self) -> list[Event]:
        queued: list[KeyFlight | LedFlight] = [*self._keys.queued(), *self._waiting()]
        return [flight.landing for flight in queued]

    def _close(self) -> None:
        # Nothing will come that is worth waiting for. Before all else: a keeper of deadlines that
        # has been told to end, since there were none, would keep none of this batch.
        for batch in tuple(self._gathering):
            self._go(batch)
        super()._close()
        if self._delays is not None:
            self._delays.end_if_idle()

    def _clear(self) -> None:
        super()._clear()
        for flight in tuple(self._keys):  # what a KeyboardInterrupt kept from a batch
            self._keys.land(flight, OWNER_GONE)
            if hasattr(flight, "landing"):
                flight.landing.set()
        if self._delays is not None:
            self._delays.clear()
