"""What can be concluded from the history of a cache without knowing how it works."""

from __future__ import annotations

from collections.abc import Iterator

from proof.cache_history import Fetch, Origin, began, filled, origins, values
from proof.cache_plans import CacheProgram
from proof.evidence import Testimony
from proof.history import FOREVER, CallRecord, History, Instant, Result


class CacheEvidence(Testimony[CacheProgram, Fetch]):
    """A program of a cache, its history, and questions about them."""

    def __init__(self, program: CacheProgram, history: History[Fetch]) -> None:
        super().__init__(program, history)
        self.options = program.options
        self.writes = [call for call in self.calls if call.plan.written()]
        self.gets = [call for call in self.calls if call.plan.do in {"get", "get_many"}]

    # What was asked

    def asking(self, key: str) -> list[CallRecord]:
        """Return the calls of `get` and `get_many` for a key."""
        return [call for call in self.gets if key in call.plan.keys]

    def fetches(self, key: str) -> list[Fetch]:
        """Return the executions for a key, batches too."""
        return [one for one in self.executions if key in one.keys]

    def values_of(self, key: str) -> list[Origin]:
        """Return where values of a key came from, if they ever did."""
        sets = [call for call in self.writes if call.plan.do == "set" and key in call.plan.keys]
        return [*(one for one in self.fetches(key) if one.has(key)), *sets]

    def certain_writes(self, key: str) -> Iterator[CallRecord]:
        """Yield the writes that took away what there was of a key, from the store too.

        What was cancelled while it waited for the store, or was told that the store failed, says
        nothing of that. Nor does anything if the store does not delete: it has been told to undo
        what flights have stored too late.
        """
        store = self.options.store
        for call in self.writes:
            if key in call.plan.written() and (
                store is None or (call.outcome is None and "delete" not in store.failing)
            ):
                yield call

    def maybe_written(self, key: str, after: Instant, before: Instant) -> bool:
        """Whether some write may have taken away what there is of a key, between two instants."""
        return any(
            (key in call.plan.written() or call.plan.do == "invalidate_tag")
            and after.tick < call.made.tick < before.tick
            for call in self.writes
        )

    def asked_fresh(self, key: str, after: Instant, before: Instant) -> bool:
        """Whether a fresh call came between two instants: what a loader runs is joined no more."""
        return any(
            call.plan.fresh and after.tick < call.made.tick < before.tick
            for call in self.asking(key)
        )

    # Flights in the background

    def may_be_of_background(self, one: Fetch) -> bool:
        """Whether the call whose function it is may have been answered from memory."""
        starter = one.starter
        if starter is None:
            return True
        return any(each is not one for each in origins(starter, one.keys[0]))

    def is_of_background(self, one: Fetch) -> bool:
        """Whether it surely is: that call had its value before this had any."""
        return (
            one.starter is not None
            and isinstance(one.starter.outcome, Result)
            and one.starter.outcome.source is not one
            and one.starter.ended.tick < min(one.ended, one.cancelled).tick
            and not self.may_have_expired(one, one.starter.ended)
        )

    # How long things may last

    @property
    def shelving(self) -> float:
        """For how long a flight may be in the air, and be joined, when it has its value."""
        store = self.options.store
        if store is None:
            return 0.0
        return 3 * store.before.seconds + 2 * store.after.seconds  # and to take it back

    def may_have_expired(self, one: Fetch, when: Instant) -> bool:
        """Whether the deadline of the execution's flight may have come by then."""
        timeout = self.options.flight_timeout
        if timeout is None:
            return False
        # It took off when it could read the store; or, if that was not to be read, right then.
        took_off = one.began.time
        if self.options.store is not None:
            took_off -= self.options.store.before.seconds + self.options.store.after.seconds
        return took_off + timeout <= when.time

    def window(self, *, of_errors: bool = False) -> float:
        """Return how long after its filling a value may be served, at most."""
        options = self.options
        spare = options.stale_if_error if of_errors else 0.0
        return options.ttl + max(spare, options.stale_while_revalidate)

    def shortest_life(self) -> float:
        """Return for how long a value is fresh at least."""
        return self.options.ttl * (1 - self.options.ttl_jitter)

    def attempts_that_failed(self, call: CallRecord) -> Iterator[Fetch]:
        """Yield executions whose error, or end without any, the call may have got."""
        for one in self.executions:
            if (
                set(one.keys) & set(call.plan.keys)
                and one.ending != "value"
                and call.made.tick < one.ended.tick
                and one.ended.tick < call.ended.tick
            ):
                yield one

    def a_deadline_came(self, call: CallRecord) -> bool:
        """Whether some flight of a key of the call may have come to its deadline as it ended."""
        timeout = self.options.flight_timeout
        return timeout is not None and any(
            set(each.plan.keys) & set(call.plan.keys)
            and each.made.time + timeout <= call.ended.time
            for each in self.gets
        )

    # What is surely there

    def kept_value(self, key: str, when: Instant) -> float | None:
        """Return a time at which the value in memory was filled, or before; None: it may have none.

        It tells without a store, when nothing has to leave for other entries, and nobody was
        told that there is no value any more.
        """
        if self.options.store is not None or self.options.max_entries < len(
            self.program.all_keys()
        ):
            return None
        if any(key in one.left_out for one in self.fetches(key)):
            return None
        there = [
            each
            for each in self.values_of(key)
            if self.there(each, key).tick < when.tick
            and not self.maybe_written(key, self.ticket(each), when)
            and not (isinstance(each, Fetch) and self.not_filled(each))
        ]
        if not there:
            return None
        last = max(there, key=lambda each: filled(each).tick)
        if any(
            one.ending == "kept" and self.ticket(last).tick < one.ended.tick < when.tick
            for one in self.fetches(key)
            if one.began.tick < self.there(last, key).tick
        ):
            return None  # it may have come too late: the error of what began later was there
        # It was not kept if another that got its ticket later was: then that was.
        beside = [each for each in self.values_of(key) if filled(each).tick < when.tick]
        return min(
            filled(each).time for each in beside if filled(each).tick >= self.ticket(last).tick
        )

    def there(self, origin: Origin, key: str) -> Instant:
        """Return an instant at which the value surely was in memory, if it came there.

        What a batch brings comes there some steps later, in no time.
        """
        if not isinstance(origin, Fetch) or origin.starter is not None:
            return filled(origin)
        return min(
            (
                call.ended
                for call in self.gets
                if call.made.tick < origin.ended.tick
                and key in (given := values(call))
                and given[key].source is origin
            ),
            default=FOREVER,
        )

    def kept_since(self, origin: Origin) -> float:
        """Return the latest time from which the age of a value may count.

        A call of `get_many` keeps its values when it has them all, and the slowest batch decides.
        """
        times = [filled(origin).time]
        if isinstance(origin, Fetch) and origin.starter is None:
            times += [
                call.ended.time
                for call in self.gets
                if call.plan.do == "get_many"
                and set(call.plan.keys) & set(origin.keys)
                and call.made.tick < origin.ended.tick < call.ended.tick
            ]
        return max(times)

    def undoes(self, one: Fetch) -> bool:
        """Whether the execution may wait for a `set` of its own that puts the store right."""
        return self.options.store is not None and any(
            call.parent is one and call.plan.do in {"set", "get_many"} for call in self.calls
        )

    def ticket(self, origin: Origin) -> Instant:
        """Return an instant before which the right to fill was not taken."""
        if not isinstance(origin, Fetch):
            return origin.made
        if origin.starter is not None:
            return origin.began
        made = [
            call.made
            for key in origin.keys
            for call in self.asking(key)
            if call.made.tick < origin.ended.tick
        ]
        return min([origin.began, *made])

    def took_off(self, one: Fetch) -> Instant:
        """Return an instant by which the flight of the execution was in the air.

        It may have been looking into the store for long.
        """
        return one.began if one.starter is None else one.starter.made

    def not_filled(self, one: Fetch) -> bool:
        """Whether the value may have come when it was of no use: its flight was gone."""
        if one.starter is None and not any(
            value.source is one for call in self.gets for value in values(call).values()
        ):
            return True
        gone = self.may_have_expired(one, one.ended) or one.cancelled is not FOREVER
        return gone or one.ended.tick > self.gone().tick or self.strayed()

    def strayed(self) -> bool:
        """Whether a leader's task was cancelled from outside: then anything may be lost."""
        return self.history.leader_cancelled is not FOREVER


def before_a_write(origin: Origin, write: CallRecord) -> bool:
    """Whether a value or an error is from before a write."""
    return origin is not write and began(origin).tick < write.made.tick
