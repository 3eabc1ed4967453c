"""A loader against its model, a plain list of what is in the air, after every step of programs.

Between two steps everything settles, so the model knows what must be: which batches have begun,
with which keys, which flights there are and who waits for them, and who has been given what. What
may happen in one moment in several orders is left to `proof`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyflight import BatchLoader, FlightState
from tests.loader.batching import assert_idle
from tests.support import CANCELLED, PENDING, Caller, HandClock

KEYS = st.sampled_from("aabbcd")
WHICH = st.integers(0, 9)
OPTIONS = st.fixed_dictionaries(
    {
        "max_batch_size": st.sampled_from([1, 2, 3, 100]),
        "max_delay": st.sampled_from([0, 0, 2]),
        "max_concurrent_batches": st.sampled_from([1, 1, 2, 3]),
    }
)
KINDS = {
    "call": st.tuples(st.just("call"), st.lists(KEYS, min_size=1, max_size=3), st.booleans()),
    "cancel": st.tuples(st.just("cancel"), WHICH),
    "end": st.tuples(st.just("end"), WHICH),
    "forget": st.tuples(st.just("forget"), KEYS),
    "advance": st.tuples(st.just("advance"), st.sampled_from([1, 2])),
}
STEPS = st.sampled_from([*KINDS, "call", "call", "call", "end"]).flatmap(KINDS.get)
PROGRAMS = st.lists(STEPS, min_size=15, max_size=40)
TURNS = 12
"""After so many of the event loop everything has settled."""


@dataclass(eq=False)
class Flight:
    key: str
    waiters: set[int]
    behind: Flight | None = None
    batch: Batch | None = None
    detached: bool = False

    @property
    def state(self) -> FlightState:
        if self.detached:
            return FlightState.DETACHED
        if self.batch is None:
            return FlightState.QUEUED
        if not self.batch.began:
            return FlightState.STARTING
        return FlightState.RUNNING if self.waiters else FlightState.ABANDONED


@dataclass(eq=False)
class Batch:
    flights: list[Flight] = field(default_factory=list)
    due: float = 0
    took_off: bool = False
    began: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(flight.key for flight in self.flights)


class Model:
    def __init__(
        self, *, max_batch_size: int, max_delay: float, max_concurrent_batches: int
    ) -> None:
        self.size, self.delay, self.slots = max_batch_size, max_delay, max_concurrent_batches
        self.now = 0.0
        self.current: dict[str, Flight] = {}
        self.detached: list[Flight] = []
        self.gathering: Batch | None = None
        self.ready: list[Batch] = []
        self.flying: list[Batch] = []
        self.given: list[dict[str, Any]] = []
        """What each call has got for each of its keys: those of a batch, or nothing yet."""

    def flights(self) -> Iterator[Flight]:
        for flight in self.current.values():
            yield flight
            if flight.behind is not None:
                yield flight.behind
        yield from self.detached

    def call(self, keys: list[str], *, fresh: bool) -> None:
        number = len(self.given)
        self.given.append(dict.fromkeys(keys, PENDING))
        for key in self.given[number]:
            self.ask(key, number, fresh=fresh)

    def ask(self, key: str, number: int, *, fresh: bool) -> None:
        flight = self.current.get(key)
        if flight is None:
            self.current[key] = Flight(key, {number})
            self.board(self.current[key])
        elif not (fresh and flight.batch is not None and flight.batch.began):
            flight.waiters.add(number)
        elif flight.behind is None:
            flight.behind = Flight(key, {number})
        else:
            flight.behind.waiters.add(number)

    def outcome(self, number: int, *, many: bool) -> Any:
        given = self.given[number]
        for what in (CANCELLED, PENDING):
            if what in given.values():
                return what
        return given if many else next(iter(given.values()))

    def board(self, flight: Flight) -> None:
        opened = self.gathering is None
        batch = flight.batch = self.gathering or Batch(due=self.now + self.delay)
        self.gathering = batch
        batch.flights.append(flight)
        if len(batch.flights) == self.size:
            self.gathering = None
            self.go(batch)
        elif opened and not self.delay:
            self.go(batch)

    def go(self, batch: Batch) -> None:
        if batch.took_off or batch in self.ready:
            return
        if len(self.flying) < self.slots:
            batch.took_off = True
            self.flying.append(batch)
        else:
            self.ready.append(batch)

    def settle(self) -> list[tuple[str, ...]]:
        """Let all batches begin that have taken off; return their keys."""
        begin = [batch for batch in self.flying if not batch.began]
        for batch in begin:
            batch.began = True
            if batch is self.gathering:
                self.gathering = None
        return sorted(batch.keys for batch in begin)

    def abandons(self, number: int) -> int:
        """Return how many batches a call would abandon: with two, either might land first."""
        waiters = (set().union(*(each.waiters for each in one.flights)) for one in self.flying)
        return sum(each == {number} for each in waiters)

    def cancel(self, number: int) -> None:
        self.given[number] = dict.fromkeys(self.given[number], CANCELLED)
        left = [flight for flight in self.flights() if number in flight.waiters]
        for flight in left:
            flight.waiters.remove(number)
        for flight in left:
            if not flight.waiters and not (flight.batch is not None and flight.batch.began):
                self.give_up(flight)
        for batch in tuple(self.flying):
            if not any(flight.waiters for flight in batch.flights):
                self.land(batch)

    def give_up(self, flight: Flight) -> None:
        self.take_out(flight)
        batch = flight.batch
        if batch is not None:
            batch.flights.remove(flight)
            if not batch.flights:
                self.remove(batch)

    def take_out(self, flight: Flight) -> Flight | None:
        """Take a flight out of the table; return the one that takes its place."""
        if flight.detached:
            self.detached.remove(flight)
            return None
        holder = self.current[flight.key]
        if holder is not flight:
            holder.behind = None
            return None
        behind, flight.behind = flight.behind, None
        if behind is None:
            del self.current[flight.key]
        else:
            self.current[flight.key] = behind
        return behind

    def remove(self, batch: Batch) -> None:
        if batch is self.gathering:
            self.gathering = None
        if batch in self.ready:
            self.ready.remove(batch)

    def land(self, batch: Batch) -> None:
        behind = []
        for flight in batch.flights:
            for number in flight.waiters:
                self.given[number][flight.key] = batch.keys
            behind.append(self.take_out(flight))
        for follower in behind:
            if follower is not None:
                self.board(follower)
        full = len(self.flying) == self.slots
        self.flying.remove(batch)
        following = self.ready.pop(0) if self.ready else self.gathering
        if full and following is not None:
            self.go(following)

    def forget(self, key: str) -> bool:
        flight = self.current.get(key)
        if flight is None or flight.batch is None or not flight.batch.began:
            return False
        behind = self.take_out(flight)
        flight.detached = True
        self.detached.append(flight)
        if behind is not None:
            self.board(behind)
        return True

    def advance(self, seconds: float) -> None:
        self.now += seconds
        if self.delay and self.gathering is not None and self.gathering.due <= self.now:
            self.go(self.gathering)


class World:
    """A loader and its model, which are told the same."""

    def __init__(self, options: dict[str, Any], clock: HandClock) -> None:
        self.loader = BatchLoader[str, tuple[str, ...]](self.load_batch, **options)
        self.model = Model(**options)
        self.clock = clock
        self.callers: list[Caller] = []
        self.many: list[bool] = []
        self.begun: list[tuple[str, ...]] = []
        self.gates: list[tuple[tuple[str, ...], anyio.Event]] = []

    async def load_batch(self, keys: list[str]) -> dict[str, tuple[str, ...]]:
        gate = (tuple(keys), anyio.Event())
        self.begun.append(gate[0])
        self.gates.append(gate)
        try:
            await gate[1].wait()
        finally:
            self.gates.remove(gate)
        return dict.fromkeys(keys, gate[0])

    async def load(self, keys: list[str], *, fresh: bool) -> Any:
        if len(keys) > 1:
            return await self.loader.load_many(keys, fresh=fresh)
        return await self.loader.load(keys[0], fresh=fresh)

    def step(self, step: tuple[Any, ...], tasks: anyio.abc.TaskGroup) -> None:
        match step:
            case ("call", keys, fresh):
                self.model.call(keys, fresh=fresh)
                caller = Caller()
                self.callers.append(caller)
                self.many.append(len(keys) > 1)
                tasks.start_soon(caller.run, "scope", lambda: self.load(keys, fresh=fresh))
            case ("cancel", which):
                waiting = [
                    number
                    for number, caller in enumerate(self.callers)
                    if caller.outcome is PENDING and self.model.abandons(number) <= 1
                ]
                if waiting:
                    number = waiting[which % len(waiting)]
                    self.model.cancel(number)
                    self.callers[number].cancel()
            case ("end", which) if self.gates:
                gate = self.gates[which % len(self.gates)]
                alike = [one for one in self.gates if one[0] == gate[0]]  # since forget()
                flying = [one for one in self.model.flying if one.keys == gate[0]]
                self.model.land(flying[alike.index(gate)])
                gate[1].set()
            case ("forget", key):
                assert self.loader.forget(key) is self.model.forget(key)
            case ("advance", seconds):
                self.model.advance(seconds)
                self.clock.advance(seconds)

    async def settle(self) -> None:
        for _ in range(TURNS):
            await checkpoint()

    def check(self) -> None:
        assert sorted(self.begun) == self.model.settle()
        self.begun.clear()
        for number, (caller, many) in enumerate(zip(self.callers, self.many, strict=True)):
            assert caller.outcome == self.model.outcome(number, many=many)
        assert sorted((info.key, info.state, info.waiters) for info in self.loader.flights()) == (
            sorted((one.key, one.state, len(one.waiters)) for one in self.model.flights())
        )


async def run(options: dict[str, Any], program: list[tuple[Any, ...]], clock: HandClock) -> None:
    world = World(options, clock)
    with anyio.fail_after(20):  # nobody hangs: a program of forty steps takes milliseconds
        async with anyio.create_task_group() as tasks, world.loader:
            try:
                for step in program:
                    world.step(step, tasks)
                    await world.settle()
                    world.check()
            finally:
                for caller in world.callers:
                    if caller.outcome is PENDING:
                        caller.cancel()
    assert_idle(world.loader)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(suppress_health_check=list(HealthCheck), max_examples=40)
@given(options=OPTIONS, program=PROGRAMS)
def test_a_loader_does_what_its_model_does(
    backend: str, clock: HandClock, options: dict[str, Any], program: list[tuple[Any, ...]]
) -> None:
    clock.now = 0.0
    anyio.run(run, options, program, clock, backend=backend)
