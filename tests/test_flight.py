"""The flight table, one transition after the other, and against a model: no event loop here."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from anyflight import FlightInfo, FlightState
from anyflight._flight import Flight, FlightTable, Place
from anyflight._outcome import Cancellation, Failure, Outcome, Value

VALUE = Value(1)
FAILURE = Failure(ValueError())
CANCELLATION = Cancellation("for a test")


def table(*, keep_abandoned: bool = False) -> FlightTable[Flight]:
    return FlightTable(keep_abandoned=keep_abandoned)


def add(flights: FlightTable[Flight], key: Any = "k", *, begin: bool = True) -> Flight:
    flight = Flight(key)
    flights.add(flight)
    if begin and flight.place is Place.CURRENT:
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
        assert not flights.leave(flight)
        assert flight.state is FlightState.LANDED
        assert not flights.begin(flight, 0.0)
        assert flights.current("k") is None

    @pytest.mark.parametrize("keep", [False, True])
    def test_abandoned_in_the_queue_it_lands_and_never_takes_off(self, keep: bool) -> None:
        flights = table(keep_abandoned=keep)
        first, second = add(flights), add(flights)
        assert not flights.leave(second)
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
        assert not flights.leave(flight)
        assert list(flights) == []

    def test_abort_lands_what_is_queued_and_leaves_the_rest_to_its_leaders(self) -> None:
        flights = table()
        first, queued, other = add(flights), add(flights), add(flights, "other", begin=False)
        detached = add(flights, "detached")
        flights.detach(detached)
        assert flights.abort(CANCELLATION) == [queued]
        assert queued.outcome is CANCELLATION
        assert set(flights) == {first, other, detached}

    def test_it_lands_once(self) -> None:
        flights = table()
        flight, queued = add(flights), add(flights)
        assert flights.land(flight, VALUE) is queued
        assert flights.land(flight, FAILURE) is None
        assert flight.outcome is VALUE
        assert (flights.succeeded, flights.failed, len(flights)) == (1, 0, 1)

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
        [(VALUE, "succeeded"), (FAILURE, "failed"), (CANCELLATION, "cancelled")],
    )
    def test_each_landing_is_counted_as_what_it_was(
        self, outcome: Outcome[Any], counter: str
    ) -> None:
        flights = table()
        flights.land(add(flights), outcome)
        assert getattr(flights, counter) == 1
        assert len(flights) == 0

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
        assert not flights.leave(queued)
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

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.air: list[dict[str, Any]] = []

    def find(self, key: str, *places: str) -> dict[str, Any] | None:
        found = [one for one in self.air if one["key"] == key and one["place"] in places]
        assert len(found) <= 1, "at most one running and one queued flight for each key"
        return found[0] if found else None

    def call(self, key: str, number: int, *, fresh: bool) -> tuple[int, bool]:
        """Return the number of the flight that the call waits for, and whether it started it."""
        current, queued = self.find(key, "current"), self.find(key, "queued")
        shareable = current is not None and (
            not current["begun"] or (not fresh and (current["waiters"] > 0 or self.keep))
        )
        joined = current if shareable else queued
        if joined is not None:
            joined["waiters"] += 1
            return joined["number"], False
        self.air.append(
            {
                "number": number,
                "key": key,
                "waiters": 1,
                "begun": False,
                "place": "current" if current is None else "queued",
            }
        )
        return number, True

    def remove(self, flight: dict[str, Any]) -> None:
        self.air.remove(flight)
        if flight["place"] == "current":
            self.promote(flight["key"])

    def promote(self, key: str) -> None:
        if (queued := self.find(key, "queued")) is not None:
            queued["place"] = "current"

    def by_number(self, number: int) -> dict[str, Any] | None:
        return next((one for one in self.air if one["number"] == number), None)


KEYS = st.sampled_from("abc")


class TableMachine(RuleBasedStateMachine):
    """Joins, leaves, first steps, landings, detachings and abortions, in any order."""

    @initialize(keep=st.booleans())
    def open(self, keep: bool) -> None:
        self.table = table(keep_abandoned=keep)
        self.model = Model(keep=keep)
        self.numbers = count()
        self.flights: dict[int, Flight] = {}
        self.calls = 0
        self.landed = 0

    @rule(key=KEYS, fresh=st.booleans())
    def call(self, key: str, fresh: bool) -> None:
        self.calls += 1
        number = next(self.numbers)
        expected, started = self.model.call(key, number, fresh=fresh)
        flight = self.table.join(key, fresh=fresh)
        assert (flight is None) is started
        if flight is None:
            flight = self.flights[number] = Flight(key)
            self.table.add(flight)
        assert flight is self.flights[expected]

    @precondition(lambda self: self.model.air)
    @rule(data=st.data())
    def first_step(self, data: st.DataObject) -> None:
        one = self.pick(data, lambda one: one["place"] != "queued" and not one["begun"])
        if one is not None:
            assert self.table.begin(self.flights[one["number"]], 0.0)
            one["begun"] = True

    @precondition(lambda self: self.model.air)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        one = self.pick(data, lambda one: one["waiters"] > 0)
        if one is None:
            return
        one["waiters"] -= 1
        cancel = self.table.leave(self.flights[one["number"]])
        last = one["waiters"] == 0
        assert cancel is (last and one["begun"] and not self.model.keep)
        if last and not one["begun"]:
            self.model.remove(one)
            self.landed += 1

    @precondition(lambda self: self.model.air)
    @rule(data=st.data(), outcome=st.sampled_from([VALUE, FAILURE, CANCELLATION]))
    def land(self, data: st.DataObject, outcome: Outcome[Any]) -> None:
        one = self.pick(data, lambda one: one["begun"])
        if one is None:
            return
        behind = self.model.find(one["key"], "queued") if one["place"] == "current" else None
        self.model.remove(one)
        self.landed += 1
        flight = self.flights[one["number"]]
        successor = self.table.land(flight, outcome)
        assert successor is (None if behind is None else self.flights[behind["number"]])
        assert flight.outcome is outcome
        assert self.table.land(flight, FAILURE) is None
        assert not self.table.leave(flight)

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        one = self.model.find(key, "current")
        flight = self.table.current(key)
        assert (flight is None) is (one is None)
        if flight is None or one is None:
            return
        behind = self.model.find(key, "queued")
        one["place"] = "detached"
        self.model.promote(key)
        assert flight is self.flights[one["number"]]
        successor = self.table.detach(flight)
        assert successor is (None if behind is None else self.flights[behind["number"]])

    @rule()
    def abort(self) -> None:
        queued = [one for one in self.model.air if one["place"] == "queued"]
        for one in queued:
            self.model.air.remove(one)
        self.landed += len(queued)
        aborted = self.table.abort(CANCELLATION)
        assert set(aborted) == {self.flights[one["number"]] for one in queued}

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
            assert (flight.began is not None) is one["begun"]
            assert flight.place.name.lower() == one["place"]
        assert set(self.table) == {self.flights[number] for number in held}

    @invariant()
    def the_invariants_of_the_module_hold(self) -> None:
        in_the_air = list(self.table)
        assert len(in_the_air) == len(set(in_the_air)) == len(self.table)
        for key, flight in self.table._current.items():  # 1
            assert flight.key == key
            assert flight.place is Place.CURRENT
            assert flight.outcome is None
            if flight.successor is not None:  # 2
                assert flight.began is not None
                assert flight.successor.place is Place.QUEUED
                assert flight.successor.successor is None
        for flight in in_the_air:
            assert flight.began is not None or flight.waiters > 0  # 3
            assert flight.outcome is None  # 4
            if flight.place is Place.QUEUED:
                assert self.table._current[flight.key].successor is flight
        assert self.table.flights == self.landed + len(in_the_air)  # 5
        assert self.table.waiting == sum(flight.waiters for flight in in_the_air)
        assert self.calls == self.table.flights + self.table.joined


TestAgainstTheModel = TableMachine.TestCase
TestAgainstTheModel.settings = settings(stateful_step_count=60)
