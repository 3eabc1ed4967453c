"""The flight table, one transition after the other, and against a model: no event loop here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from anyflight import FlightInfo, FlightOutcome, FlightState, TooManyWaitersError
from anyflight._flight import Flight, FlightTable
from anyflight._outcome import Cancellation, Expiry, Failure, Outcome, Value

VALUE = Value(1)
FAILURE = Failure(ValueError())
CANCELLATION = Cancellation("for a test")
EXPIRY = Expiry(1.0, began=True)


def table(
    *,
    keep_abandoned: bool = False,
    max_waiters: int | None = None,
    max_join_age: float | None = None,
) -> FlightTable[Flight]:
    return FlightTable(
        keep_abandoned=keep_abandoned, max_waiters=max_waiters, max_join_age=max_join_age
    )


def place_of(flight: Flight) -> str:
    """Name the part of the table that holds a flight which has not landed."""
    if flight.detached:
        return "detached"
    return "current" if flight.predecessor is None else "queued"


def add(flights: FlightTable[Flight], key: Any = "k", *, begin: bool = True) -> Flight:
    flight = Flight(key)
    flights.add(flight)
    if begin and place_of(flight) == "current":
        assert flights.begin(flight, 0.0)
    return flight


class TestTransitions:
    def test_a_new_flight_is_current_and_starting(self) -> None:
        flights = table()
        flight = add(flights, begin=False)
        assert flight.state is FlightState.STARTING
        assert flights.current("k") is flight

    def test_it_runs_from_its_leaders_first_step_on(self) -> None:
        flights = table()
        flight = add(flights)
        assert flight.state is FlightState.RUNNING

    def test_it_is_described_as_it_is(self) -> None:
        flights = table()
        flight = add(flights, begin=False)
        assert flight.info(5.0) == FlightInfo("k", FlightState.STARTING, 1, 0.0)
        flights.begin(flight, 5.0)
        assert flight.info(7.5) == FlightInfo("k", FlightState.RUNNING, 1, 2.5)

    def test_calls_join_it_while_it_runs(self) -> None:
        flights = table()
        flight = add(flights)
        assert flights.join("k", fresh=False) is flight
        assert flight.waiters == 2

    def test_a_fresh_call_joins_it_only_before_it_runs(self) -> None:
        flights = table()
        flight = add(flights, begin=False)
        assert flights.join("k", fresh=True) is flight
        flights.begin(flight, 0.0)
        assert flights.join("k", fresh=True) is None

    def test_a_second_flight_is_queued_and_takes_the_place_of_the_first_when_that_lands(
        self,
    ) -> None:
        flights = table()
        first = add(flights)
        second = add(flights)
        assert second.state is FlightState.QUEUED
        assert flights.join("k", fresh=True) is second
        assert flights.land(first, VALUE) is second
        assert flights.current("k") is second
        assert second.state is FlightState.STARTING
        assert first.successor is None

    @pytest.mark.parametrize("keep", [False, True])
    def test_losing_its_last_waiter_abandons_it(self, keep: bool) -> None:
        flights = table(keep_abandoned=keep)
        flight = add(flights)
        flights.join("k", fresh=False)
        assert not flights.leave(flight)
        assert flights.leave(flight) is not keep
        assert flight.state is FlightState.ABANDONED
        assert flights.join("k", fresh=False) is (flight if keep else None)

    @pytest.mark.parametrize("keep", [False, True])
    def test_abandoned_before_its_first_step_it_lands_and_never_begins(self, keep: bool) -> None:
        flights = table(keep_abandoned=keep)
        flight = add(flights, begin=False)
        assert flights.leave(flight)
        assert flight.state is FlightState.LANDED
        assert not flights.begin(flight, 0.0)
        assert flights.current("k") is None

    @pytest.mark.parametrize("keep", [False, True])
    def test_abandoned_in_the_queue_it_lands_and_never_takes_off(self, keep: bool) -> None:
        flights = table(keep_abandoned=keep)
        first, second = add(flights), add(flights)
        assert flights.leave(second)
        assert second.state is FlightState.LANDED
        assert flights.land(first, VALUE) is None

    def test_leaving_a_flight_that_has_landed_changes_nothing(self) -> None:
        flights = table()
        flight = add(flights)
        flights.land(flight, VALUE)
        assert not flights.leave(flight)
        assert flight.waiters == 1

    def test_it_has_left_the_table_before_it_has_its_outcome(self) -> None:
        class Watched(Flight):
            __slots__ = ()

            def __setattr__(self, name: str, value: object) -> None:
                if name == "outcome" and value is not None:
                    seen.append(flights.current("k"))
                super().__setattr__(name, value)

        seen: list[Flight | None] = []
        flights: FlightTable[Flight] = table()
        flight = Watched("k")
        flights.add(flight)
        flights.land(flight, VALUE)
        assert seen == [None]

    def test_detached_it_runs_on_and_lands_without_touching_its_old_place(self) -> None:
        flights = table()
        old = add(flights)
        assert flights.detach(old) is None
        assert old.state is FlightState.DETACHED
        new = add(flights)
        assert flights.land(old, VALUE) is None
        assert flights.current("k") is new

    def test_detaching_lets_the_queued_flight_take_off(self) -> None:
        flights = table()
        old, queued = add(flights), add(flights)
        assert flights.detach(old) is queued
        assert flights.current("k") is queued

    def test_detached_before_its_first_step_it_may_still_be_abandoned(self) -> None:
        flights = table()
        flight = add(flights, begin=False)
        flights.detach(flight)
        assert flights.leave(flight)
        assert list(flights) == []

    def test_abort_lands_what_is_queued_and_leaves_the_rest_to_its_leaders(self) -> None:
        flights = table()
        first, queued, other = add(flights), add(flights), add(flights, "other", begin=False)
        detached = add(flights, "detached")
        flights.detach(detached)
        assert flights.abort(CANCELLATION) == [queued]
        assert queued.outcome is CANCELLATION
        assert (queued.predecessor, first.successor) == (None, None)
        assert set(flights) == {first, other, detached}

    def test_it_lands_once(self) -> None:
        flights = table()
        flight, queued = add(flights), add(flights)
        assert flights.land(flight, VALUE) is queued
        assert flights.land(flight, FAILURE) is None
        assert flight.outcome is VALUE
        assert flights.landed == {kind: kind == "succeeded" for kind in FlightOutcome}
        assert len(flights) == 1

    def test_whoever_counts_while_flights_come_and_go_counts_no_fewer_than_none(self) -> None:
        """As another thread does, which may be stopped between any two looks."""

        class Moving(dict[FlightOutcome, int]):
            def values(self) -> Any:
                flights.land(add(flights), VALUE)
                return super().values()

        flights = table()
        flights.landed = Moving(flights.landed)
        for _ in range(3):
            assert len(flights) == 0
            assert flights.waiting == 0

    def test_no_flight_is_added_where_there_is_one_to_join(self) -> None:
        flights = table()
        first = add(flights, begin=False)
        with pytest.raises(ValueError, match="a flight to join"):
            flights.add(Flight("k"))
        flights.begin(first, 0.0)
        add(flights)
        with pytest.raises(ValueError, match="a flight to join"):
            flights.add(Flight("k"))
        assert len(flights) == len(list(flights)) == 2

    @pytest.mark.parametrize(
        ("outcome", "counter"),
        [
            (VALUE, "succeeded"),
            (FAILURE, "failed"),
            (CANCELLATION, "cancelled"),
            (EXPIRY, "timed_out"),
        ],
    )
    def test_each_landing_is_counted_as_what_it_was(
        self, outcome: Outcome[Any], counter: str
    ) -> None:
        flights = table()
        flights.land(add(flights), outcome)
        assert flights.landed == {kind: kind == counter for kind in FlightOutcome}
        assert len(flights) == 0

    def test_law_12_a_flight_takes_max_waiters_and_refuses_one_more(self) -> None:
        flights = table(max_waiters=2)
        flight = add(flights)
        assert flights.join("k", fresh=False) is flight
        with pytest.raises(TooManyWaitersError, match="2 calls wait for key 'k' already"):
            flights.join("k", fresh=False)
        assert (flight.waiters, flights.joined) == (2, 1)
        flights.leave(flight)
        assert flights.join("k", fresh=False) is flight

    @pytest.mark.parametrize(("now", "too_old"), [(2.0, False), (2.1, True)])
    def test_law_13_a_flight_is_overdue_when_it_is_older_than_max_join_age(
        self, now: float, too_old: bool
    ) -> None:
        flights = table(max_join_age=2)
        flight = add(flights)
        assert flights.overdue("k", now) is (flight if too_old else None)

    def test_law_13_before_its_first_step_a_flight_has_no_age(self) -> None:
        flights = table(max_join_age=2)
        assert flights.overdue("k", 9.0) is None
        add(flights, begin=False)
        assert flights.overdue("k", 9.0) is None

    @pytest.mark.parametrize("keep", [False, True])
    def test_law_4_an_abandoned_flight_is_overdue_only_if_it_could_be_joined(
        self, keep: bool
    ) -> None:
        flights = table(keep_abandoned=keep, max_join_age=2)
        flight = add(flights)
        flights.leave(flight)
        assert flights.overdue("k", 9.0) is (flight if keep else None)

    def test_a_queued_flight_knows_the_one_before_it_as_long_as_it_is_queued(self) -> None:
        flights = table()
        first, second = add(flights), add(flights)
        assert second.predecessor is first
        flights.detach(first)
        assert second.predecessor is None

    def test_a_key_that_changes_its_hash_harms_only_itself(self) -> None:
        flights = table()
        fickle, stranger = Fickle(1), Fickle(2)
        first, queued = add(flights, fickle), add(flights, fickle)
        fickle.value = 2
        other = add(flights, stranger)
        assert flights.land(first, VALUE) is queued
        assert flights.land(queued, VALUE) is None
        assert flights.current(stranger) is other

    def test_a_key_that_has_its_old_hash_again_finds_no_flight_that_has_landed(self) -> None:
        flights = table()
        fickle = Fickle(1)
        first = add(flights, fickle)
        fickle.value = 2
        flights.land(first, VALUE)
        fickle.value = 1
        assert flights.join(fickle, fresh=False) is None
        again = add(flights, fickle)
        assert list(flights) == [again]

    def test_a_queued_flight_whose_key_has_changed_its_hash_can_be_abandoned(self) -> None:
        flights = table()
        fickle = Fickle(1)
        add(flights, fickle)
        queued = add(flights, fickle)
        fickle.value = 2
        assert flights.leave(queued)
        assert queued.state is FlightState.LANDED

    def test_a_key_that_cannot_be_hashed_any_more_still_lands(self) -> None:
        flights = table()
        fickle = Fickle(1)
        first, queued = add(flights, fickle), add(flights, fickle)
        fickle.value = []
        assert flights.land(first, VALUE) is queued
        assert flights.land(queued, VALUE) is None
        assert len(flights) == 0


class Fickle:
    """A key that can change its hash, which no key should."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fickle) and other.value == self.value


class Model:
    """What the laws say, in the slowest and plainest way: a list of what is in the air."""

    def __init__(self, *, keep: bool, max_waiters: int | None, max_join_age: float | None) -> None:
        self.keep = keep
        self.max_waiters = max_waiters
        self.max_join_age = max_join_age
        self.air: list[dict[str, Any]] = []

    def find(self, key: str, *places: str) -> dict[str, Any] | None:
        found = [one for one in self.air if one["key"] == key and one["place"] in places]
        assert len(found) <= 1, "at most one running and one queued flight for each key"
        return found[0] if found else None

    def too_old(self, key: str, now: int) -> dict[str, Any] | None:
        """Return the flight that a call may not join for its age alone."""
        one = self.find(key, "current")
        if one is None or one["began"] is None or self.max_join_age is None:
            return None
        joinable = one["waiters"] > 0 or self.keep
        return one if joinable and now - one["began"] > self.max_join_age else None

    def call(self, key: str, number: int, *, fresh: bool) -> tuple[int, str]:
        """Return the number of the flight that the call is for, and what it does with it."""
        current, queued = self.find(key, "current"), self.find(key, "queued")
        shareable = current is not None and (
            current["began"] is None or (not fresh and (current["waiters"] > 0 or self.keep))
        )
        joined = current if shareable else queued
        if joined is not None:
            if joined["waiters"] == self.max_waiters:
                return joined["number"], "is refused"
            joined["waiters"] += 1
            return joined["number"], "joins"
        self.air.append(
            {
                "number": number,
                "key": key,
                "waiters": 1,
                "began": None,
                "place": "current" if current is None else "queued",
            }
        )
        return number, "starts"

    def remove(self, flight: dict[str, Any]) -> None:
        self.air.remove(flight)
        if flight["place"] == "current":
            self.promote(flight["key"])

    def detach(self, flight: dict[str, Any]) -> None:
        flight["place"] = "detached"
        self.promote(flight["key"])

    def promote(self, key: str) -> None:
        if (queued := self.find(key, "queued")) is not None:
            queued["place"] = "current"


class Ledger:
    """An observer that counts what it is told."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()
        self.waiting = 0

    def started(self, flight: Flight) -> None:
        self.told["started"] += 1
        self.waiting += flight.waiters

    def joined(self, flight: Flight) -> None:
        self.told["joined"] += 1
        self.waiting += 1

    def left(self, flight: Flight) -> None:
        self.told["left"] += 1
        self.waiting -= 1

    def landed(self, flight: Flight) -> None:
        assert flight.outcome is not None
        self.told[flight.outcome.kind] += 1
        self.waiting -= flight.waiters


KEYS = st.sampled_from("abc")


class TableMachine(RuleBasedStateMachine):
    """Calls, leaves, first steps, landings, detachings and abortions, in any order and at any age.

    A call that flies once more (law 7) is a call like another to the table: the rule `fly_again`
    makes it so, with the calls that had joined a flight which failed.
    """

    @initialize(
        keep=st.booleans(),
        max_waiters=st.none() | st.integers(1, 3),
        max_join_age=st.none() | st.integers(1, 4),
    )
    def open(self, keep: bool, max_waiters: int | None, max_join_age: int | None) -> None:
        self.ledger = Ledger()
        self.table: FlightTable[Flight] = FlightTable(
            keep_abandoned=keep,
            max_waiters=max_waiters,
            max_join_age=max_join_age,
            observer=self.ledger,
        )
        self.model = Model(keep=keep, max_waiters=max_waiters, max_join_age=max_join_age)
        self.numbers = count()
        self.flights: dict[int, Flight] = {}
        self.now = 0
        self.calls = 0
        self.refused = 0
        self.left = 0
        self.landed: Counter[str] = Counter()

    @rule(seconds=st.integers(1, 3))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(key=KEYS, fresh=st.booleans())
    def call(self, key: str, fresh: bool) -> None:
        self.board(key, fresh=fresh)

    def board(self, key: str, *, fresh: bool) -> Flight:
        self.calls += 1
        too_old = self.model.too_old(key, self.now)
        overdue = self.table.overdue(key, self.now)
        assert overdue is (None if too_old is None else self.flights[too_old["number"]])
        if overdue is not None and too_old is not None:
            self.detach(overdue, too_old)
        number = next(self.numbers)
        expected, what = self.model.call(key, number, fresh=fresh)
        if what == "is refused":
            self.refused += 1
            try:
                self.table.join(key, fresh=fresh)
            except TooManyWaitersError:
                return self.flights[expected]
            raise AssertionError("the model says that it is refused")
        flight = self.table.join(key, fresh=fresh)
        assert (flight is None) is (what == "starts")
        if flight is None:
            flight = self.flights[number] = Flight(key)
            self.table.add(flight)
        assert flight is self.flights[expected]
        return flight

    @precondition(lambda self: self.model.air)
    @rule(data=st.data())
    def fly_again(self, data: st.DataObject) -> None:
        one = self.pick(data, lambda one: one["began"] is not None and one["waiters"] > 1)
        if one is None:
            return
        self.land_one(one, FAILURE)
        again = [self.board(one["key"], fresh=False) for _ in range(one["waiters"] - 1)]
        assert len(set(again)) == 1, "law 7: N waiters of a failing key cost at most two executions"
        assert again[0] is not self.flights[one["number"]], "law 7: of a second execution"
        if one["place"] == "current":  # else there may be one that has begun beside it
            assert again[0].began is None, "law 7: a second execution that has not begun"

    @precondition(lambda self: self.model.air)
    @rule(data=st.data())
    def first_step(self, data: st.DataObject) -> None:
        one = self.pick(data, lambda one: one["place"] != "queued" and one["began"] is None)
        if one is not None:
            assert self.table.begin(self.flights[one["number"]], self.now)
            one["began"] = self.now

    @precondition(lambda self: self.model.air)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        one = self.pick(data, lambda one: one["waiters"] > 0)
        if one is None:
            return
        one["waiters"] -= 1
        self.left += 1
        cancel = self.table.leave(self.flights[one["number"]])
        last = one["waiters"] == 0
        assert cancel is (last and (one["began"] is None or not self.model.keep))
        if last and one["began"] is None:
            self.model.remove(one)
            self.landed["cancelled"] += 1

    @precondition(lambda self: self.model.air)
    @rule(data=st.data(), outcome=st.sampled_from([VALUE, FAILURE, CANCELLATION]))
    def land(self, data: st.DataObject, outcome: Outcome[Any]) -> None:
        one = self.pick(data, lambda one: one["began"] is not None)
        if one is not None:
            self.land_one(one, outcome)

    @precondition(lambda self: self.model.air)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        one = self.pick(data, lambda one: one["place"] != "queued")
        if one is not None:
            self.land_one(one, EXPIRY)
            assert not self.table.begin(self.flights[one["number"]], self.now)

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        one = self.model.find(key, "current")
        flight = self.table.current(key)
        assert (flight is None) is (one is None)
        if flight is not None and one is not None:
            self.detach(flight, one)

    @rule()
    def abort(self) -> None:
        queued = [one for one in self.model.air if one["place"] == "queued"]
        for one in queued:
            self.model.air.remove(one)
        self.landed["cancelled"] += len(queued)
        aborted = self.table.abort(CANCELLATION)
        assert set(aborted) == {self.flights[one["number"]] for one in queued}

    def land_one(self, one: dict[str, Any], outcome: Outcome[Any]) -> None:
        behind = self.model.find(one["key"], "queued") if one["place"] == "current" else None
        self.model.remove(one)
        self.landed[outcome.kind] += 1
        flight = self.flights[one["number"]]
        successor = self.table.land(flight, outcome)
        assert successor is (None if behind is None else self.flights[behind["number"]])
        assert flight.outcome is outcome
        assert self.table.land(flight, FAILURE) is None
        assert not self.table.leave(flight)

    def detach(self, flight: Flight, one: dict[str, Any]) -> None:
        behind = self.model.find(one["key"], "queued")
        self.model.detach(one)
        assert flight is self.flights[one["number"]]
        successor = self.table.detach(flight)
        assert successor is (None if behind is None else self.flights[behind["number"]])

    def pick(
        self, data: st.DataObject, suits: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any] | None:
        suitable = [one for one in self.model.air if suits(one)]
        return data.draw(st.sampled_from(suitable)) if suitable else None

    @invariant()
    def table_and_model_hold_the_same(self) -> None:
        held = {number for number, flight in self.flights.items() if flight.outcome is None}
        assert held == {one["number"] for one in self.model.air}
        for one in self.model.air:
            flight = self.flights[one["number"]]
            assert flight.waiters == one["waiters"]
            assert flight.began == one["began"]
            assert place_of(flight) == one["place"]
        assert set(self.table) == {self.flights[number] for number in held}

    @invariant()
    def the_invariants_of_the_module_hold(self) -> None:
        in_the_air = list(self.table)
        assert len(in_the_air) == len(set(in_the_air)) == len(self.table)
        for key, flight in self.table._current.items():  # 1
            assert flight.key == key
            assert place_of(flight) == "current"
            assert flight.outcome is None
            if flight.successor is not None:  # 2
                assert flight.began is not None
                assert place_of(flight.successor) == "queued"
                assert flight.successor.predecessor is flight
                assert flight.successor.successor is None
        for flight in in_the_air:
            assert flight.began is not None or flight.waiters > 0  # 3
            assert flight.waiters <= (self.model.max_waiters or 1_000)
            assert flight.outcome is None  # 4
            if place_of(flight) == "queued":
                assert self.table._current[flight.key].successor is flight
            else:
                assert flight.predecessor is None

    @invariant()
    def the_counters_add_up(self) -> None:
        table, in_the_air = self.table, list(self.table)
        assert +self.landed == +Counter(table.landed)
        assert table.flights == sum(table.landed.values()) + len(in_the_air)  # 5
        assert table.waiting == sum(flight.waiters for flight in in_the_air)
        assert self.calls == table.flights + table.joined + self.refused

    @invariant()
    def the_observer_was_told_of_each_transition_once(self) -> None:
        table, told = self.table, self.ledger.told
        assert (told["started"], told["joined"]) == (table.flights, table.joined)
        assert told["left"] == self.left
        assert all(told[kind] == table.landed[kind] for kind in FlightOutcome)
        assert self.ledger.waiting == table.waiting


TestAgainstTheModel = TableMachine.TestCase
TestAgainstTheModel.settings = settings(stateful_step_count=60)
