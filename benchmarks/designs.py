"""Which way to run a leader is the cheapest? Bare probes, without what a library needs besides.

All of them start, run and end a flight, and no more: no errors, no leaving, no closing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextvars import Context, copy_context
from functools import partial
from typing import Any

import anyio
from anyio import CancelScope, Event, TaskHandle, current_time
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled

from benchmarks._crowd import time_one_by_one
from benchmarks._measure import Case, Plan, Result, measure
from benchmarks._rivals import Work, open_anyflight
from benchmarks._work import MICRO, some_keys
from benchmarks.miss import FLOOR, WORKS, floor

TITLE = "Designs of a leader"
TEXT = """
Probes of a few lines, which can start, run and end a flight and nothing else, and the whole library
beside them. A parked leader waits for its next flight on an event, so that no task has to be made;
its task has the context variables of its first flight, unless it steps the work in each starter's
own.
"""
CALLS = 2_000
ROUNDS = 9


class Flight:
    """One execution."""

    __slots__ = ("args", "began", "context", "event", "func", "handle", "key", "outcome", "waiters")

    def __init__(self, key: str, func: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        self.key = key
        self.func = func
        self.args = args
        self.waiters = 1
        self.began: float
        self.context: Context
        self.event: Event
        self.handle: TaskHandle[None]
        self.outcome: Any


class Design:
    """Joins and starts flights; how a leader is run is up to those below."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.tasks = tasks
        self.flights: dict[str, Flight] = {}

    async def execute(
        self, key: str, func: Callable[..., Coroutine[Any, Any, Any]], *args: Any
    ) -> Any:
        """Join or start a flight, and wait for it."""
        flight = self.flights.get(key)
        if flight is None:
            await checkpoint_if_cancelled()
            flight = self.flights[key] = Flight(key, func, *args)
            self.start(flight)
        else:
            flight.waiters += 1
        await self.landing(flight)
        return flight.outcome

    def start(self, flight: Flight) -> None:
        """Have a leader run the flight."""
        raise NotImplementedError

    def landing(self, flight: Flight) -> Awaitable[None]:
        """Return what a waiter awaits."""
        return flight.event.wait()

    def land(self, flight: Flight, outcome: object) -> None:
        """Take the flight out of the table, then store its outcome."""
        if self.flights.get(flight.key) is flight:
            del self.flights[flight.key]
        flight.outcome = outcome


class HandlesEvent(Design):
    """A task for each flight; the event that its handle has anyway tells its end."""

    def start(self, flight: Flight) -> None:
        """Make a task."""
        flight.handle = self.tasks.create_task(self._fly(flight))

    def landing(self, flight: Flight) -> Awaitable[None]:
        """Return the wait for the task's end."""
        return flight.handle.wait()

    async def _fly(self, flight: Flight) -> None:
        flight.began = current_time()
        self.land(flight, await flight.func(*flight.args))


class OwnEvent(Design):
    """A task for each flight, and an event of the flight's own."""

    def start(self, flight: Flight) -> None:
        """Make an event and a task."""
        flight.event = Event()
        flight.handle = self.tasks.create_task(self._fly(flight))

    async def _fly(self, flight: Flight) -> None:
        flight.began = current_time()
        self.land(flight, await flight.func(*flight.args))
        flight.event.set()


class Leader:
    """A task that flies one flight after the other."""

    __slots__ = ("flight", "wake")

    def __init__(self) -> None:
        self.flight: Flight
        self.wake = Event()


class Parked(Design):
    """Leaders that wait on an event between flights. The work sees their context variables."""

    def __init__(self, tasks: TaskGroup) -> None:
        super().__init__(tasks)
        self._idle: list[Leader] = []

    def start(self, flight: Flight) -> None:
        """Wake a leader that waits, else make one."""
        flight.event = Event()
        if self._idle:
            leader = self._idle.pop()
            leader.flight = flight
            leader.wake.set()
        else:
            leader = Leader()
            leader.flight = flight
            self.tasks.start_soon(self._lead, leader)

    async def _lead(self, leader: Leader) -> None:
        while True:
            flight = leader.flight
            flight.began = current_time()
            self.land(flight, await self.work(flight))
            flight.event.set()
            del flight, leader.flight
            leader.wake = Event()
            self._idle.append(leader)
            await leader.wake.wait()

    def work(self, flight: Flight) -> Awaitable[Any]:
        """Return what the leader awaits."""
        return flight.func(*flight.args)


class ParkedScoped(Parked):
    """The same with a cancel scope for each flight, so that a cancelled leader can fly again."""

    async def work(self, flight: Flight) -> Any:
        """Run the work in a scope."""
        with CancelScope():
            return await super().work(flight)


class ParkedStepped(Parked):
    """The same with the work stepped in a copy of the starter's context, as law 14 wants it."""

    def start(self, flight: Flight) -> None:
        """Remember the context."""
        flight.context = copy_context()
        super().start(flight)

    def work(self, flight: Flight) -> Awaitable[Any]:
        """Return the work, to be run in that context."""
        return Stepped(flight.func(*flight.args), flight.context)


class ParkedScopedStepped(ParkedScoped, ParkedStepped):
    """The same with both."""


class Stepped:
    """Runs each step of a coroutine in a context that is not its task's."""

    __slots__ = ("_context", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> None:
        self._coroutine = coroutine
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        run, send, throw = self._context.run, self._coroutine.send, self._coroutine.throw
        try:
            yielded = run(send, None)
            while True:
                try:
                    sent = yield yielded
                except BaseException as error:  # noqa: BLE001 - it goes to the work
                    yielded = run(throw, error)
                else:
                    yielded = run(send, sent)
        except StopIteration as stop:
            return stop.value


DESIGNS: dict[str, type[Design]] = {
    "task per flight, its handle's event": HandlesEvent,
    "task per flight, an event of its own": OwnEvent,
    "parked leaders": Parked,
    "parked leaders, a scope per flight": ParkedScoped,
    "parked leaders, the starter's context": ParkedStepped,
    "parked leaders, both of that": ParkedScopedStepped,
}


async def run(plan: Plan) -> list[Result]:
    """Measure the designs with both kinds of work."""
    keys = some_keys(plan.size(CALLS))
    return [
        Result(
            question="designs",
            backend=plan.backend,
            label=label,
            size=len(keys),
            floor=FLOOR,
            samples=await measure(_cases(work, keys), rounds=plan.rounds(ROUNDS)),
        )
        for label, work in WORKS.items()
    ]


def _cases(work: Work, keys: Sequence[str]) -> dict[str, Case]:
    cases: dict[str, Case] = {FLOOR: partial(floor, work, keys)}
    cases |= {name: partial(_probe, design, work, keys) for name, design in DESIGNS.items()}
    return cases | {"anyflight, whole": partial(_whole, work, keys)}


async def _probe(design: type[Design], work: Work, keys: Sequence[str]) -> float:
    async with anyio.create_task_group() as tasks:
        execute = design(tasks).execute
        seconds = await time_one_by_one(lambda key: execute(key, work, key), keys)
        tasks.cancel_scope.cancel()  # leaders that are parked
    return seconds / len(keys) * MICRO


async def _whole(work: Work, keys: Sequence[str]) -> float:
    async with open_anyflight(work) as call:
        return await time_one_by_one(call, keys) / len(keys) * MICRO
