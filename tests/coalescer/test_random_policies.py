"""All policies in random programs, by a clock that the program moves, and what must always hold.

`test_random_programs` checks the laws without policies; here is what policies add to them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyflight import (
    Coalescer,
    FlightLanded,
    FlightOutcome,
    FlightState,
    FlightTimeoutError,
    Instrument,
    TooManyWaitersError,
)
from tests.support import (
    ASYNCIO_BACKENDS,
    CANCELLED,
    PENDING,
    TRIO_BACKEND,
    Caller,
    HandClock,
    assert_idle,
)

FROM_FALLBACK = -1
KEYS = st.sampled_from("aaab")
WHICH = st.integers(0, 9)
TIMES = st.sampled_from([None, None, 2.5])
POLICIES = st.fixed_dictionaries(
    {
        "on_abandon": st.sampled_from(["cancel", "finish"]),
        "retry_on": st.sampled_from([(), (ValueError,), (ValueError, TimeoutError), (Exception,)]),
        "flight_timeout": st.sampled_from([None, 3.0]),
        "max_join_age": st.sampled_from([None, 2.0]),
        "max_waiters": st.sampled_from([None, 2, 3]),
        "tokens": st.sampled_from([None, 1, 2]),
    }
)
KINDS = {
    "call": st.tuples(st.just("call"), KEYS, st.booleans(), TIMES, st.booleans()),
    "cancel": st.tuples(st.just("cancel"), WHICH),
    "end work": st.tuples(st.just("end work"), WHICH, st.booleans()),
    "end clean-up": st.tuples(st.just("end clean-up"), WHICH),
    "forget": st.tuples(st.just("forget"), KEYS),
    "advance": st.tuples(st.just("advance"), st.sampled_from([0.5, 1.0, 2.5])),
}
STEPS = st.sampled_from([*KINDS, "call", "call", "call", "call", "advance"]).flatmap(KINDS.get)
# After each step so many turns of the event loop: none, so that steps meet in one tick, or enough.
ENOUGH = 8
PROGRAMS = st.lists(
    st.tuples(STEPS, st.sampled_from([0, 1, ENOUGH, ENOUGH])), min_size=20, max_size=60
)
Program: TypeAlias = list[tuple[tuple[Any, ...], int]]


@dataclass
class Execution:
    key: str
    number: int
    began: int
    end: anyio.Event = field(default_factory=anyio.Event)
    cleaned_up: anyio.Event = field(default_factory=anyio.Event)
    fails: bool = False


@dataclass
class Call:
    key: str
    fresh: bool
    made: int | None = None
    caller: Caller = field(default_factory=Caller)
    cancelled: bool = False


async def fall_back(_key: str) -> int:
    return FROM_FALLBACK


class Landings(Instrument):
    """Takes note of every flight that timed out before its time."""

    def __init__(self) -> None:
        self.too_early: list[FlightLanded] = []

    def flight_landed(self, event: FlightLanded) -> None:
        if event.outcome is FlightOutcome.TIMED_OUT and event.delay + event.duration < 3:
            self.too_early.append(event)


class World:
    """Runs a program, and checks after each step what must hold at every moment."""

    def __init__(self, policies: dict[str, Any], clock: HandClock) -> None:
        self.policies = policies.copy()
        tokens = self.policies.pop("tokens")
        self.limiter = None if tokens is None else anyio.CapacityLimiter(tokens)
        self.landings = Landings()
        self.coalescer = Coalescer[str, int](
            limiter=self.limiter, instruments=[self.landings], **self.policies
        )
        self.clock = clock
        self.time = 0
        self.executions: list[Execution] = []
        self.calls: list[Call] = []
        self.running: Counter[str] = Counter()
        self.forgotten: set[str] = set()

    def tick(self) -> int:
        self.time += 1
        return self.time

    def may_overlap(self, key: str) -> bool:
        asked_for = self.policies["flight_timeout"] or self.policies["max_join_age"]
        return key in self.forgotten or asked_for is not None

    async def work(self, key: str) -> int:
        one = Execution(key, len(self.executions), self.tick())
        self.executions.append(one)
        self.running[key] += 1
        assert self.running[key] == 1 or self.may_overlap(key), "law 4: two executions overlap"
        if self.limiter is not None:
            assert self.running.total() <= self.limiter.borrowed_tokens, "law 12: no token"
        try:
            await one.end.wait()
            if one.fails:
                raise ValueError(one.number)
            return one.number
        finally:
            with anyio.CancelScope(shield=True):
                if not one.end.is_set():
                    await one.cleaned_up.wait()
            self.running[key] -= 1

    async def call(self, call: Call, timeout: float | None, *, falls_back: bool) -> None:
        async def execute() -> int:
            call.made = self.tick()
            return await self.coalescer.execute(
                call.key,
                self.work,
                call.key,
                fresh=call.fresh,
                timeout=timeout,
                fallback=fall_back if timeout and falls_back else None,
            )

        await call.caller.run("scope", execute)

    def step(self, step: tuple[Any, ...], tasks: anyio.abc.TaskGroup) -> None:
        match step:
            case ("call", key, fresh, timeout, falls_back):
                call = Call(key, fresh)
                self.calls.append(call)
                tasks.start_soon(partial(self.call, call, timeout, falls_back=falls_back))
            case ("cancel", which):
                waiting = [one for one in self.calls if one.made and one.caller.outcome is PENDING]
                if waiting:
                    call = waiting[which % len(waiting)]
                    call.cancelled = True
                    call.caller.cancel()
            case ("end work", which, fails):
                working = [one for one in self.executions if not one.end.is_set()]
                if working:
                    one = working[which % len(working)]
                    one.fails = fails
                    one.end.set()
            case ("end clean-up", which) if self.executions:
                self.executions[which % len(self.executions)].cleaned_up.set()
            case ("forget", key):
                self.forgotten.add(key)
                self.coalescer.forget(key)
            case ("advance", seconds):
                self.clock.advance(seconds)

    def check_now(self, *, settled: bool) -> None:
        flights = self.coalescer.flights()
        most = self.policies["max_waiters"]
        assert most is None or all(info.waiters <= most for info in flights), "law 12"
        if settled and self.policies["flight_timeout"] is not None:
            assert all(info.age < 3 for info in flights), "law 12: in the air after its deadline"
        in_table = Counter(
            (info.key, info.state is FlightState.QUEUED)
            for info in flights
            if info.state is not FlightState.DETACHED
        )
        assert all(count == 1 for count in in_table.values()), "law 5: one running, one queued"
        now = self.coalescer.statistics()
        assert now.in_flight == len(flights)
        assert now.waiting == sum(info.waiters for info in flights)
        assert now.calls + now.retried == now.flights + now.joined + now.refused

    async def finish(self) -> None:
        """Let all work end that is still running, until nobody waits."""
        while any(call.caller.outcome is PENDING for call in self.calls) or self.running.total():
            for one in self.executions:
                one.end.set()
                one.cleaned_up.set()
            await checkpoint()

    def check_at_the_end(self) -> None:
        assert_idle(self.coalescer)
        if self.limiter is not None:
            assert self.limiter.borrowed_tokens == self.limiter.statistics().tasks_waiting == 0
        assert self.clock.alarms == []
        assert self.landings.too_early == []
        for call in self.calls:
            self.check_outcome(call, call.caller.outcome)
        now = self.coalescer.statistics()
        cancelled = sum(call.cancelled for call in self.calls)
        assert len(self.calls) - cancelled <= now.calls <= len(self.calls)
        assert now.retried <= now.calls, "law 7: one second attempt is all"
        assert len(self.executions) <= now.flights

    def check_outcome(self, call: Call, outcome: Any) -> None:
        match outcome:
            case int():
                if outcome != FROM_FALLBACK:
                    self.check_execution(call, outcome, fails=False)
            case ValueError():
                self.check_execution(call, outcome.args[0], fails=True)
            case FlightTimeoutError():
                assert self.policies["flight_timeout"] is not None
            case TooManyWaitersError():
                assert self.policies["max_waiters"] is not None
            case TimeoutError():  # its own
                pass
            case _:  # nobody cancels the owner here, and no work raises a cancellation: law 9
                assert outcome is CANCELLED, repr(outcome)
                assert call.cancelled, "law 9: a cancellation that was meant for another"

    def check_execution(self, call: Call, number: int, *, fails: bool) -> None:
        one = self.executions[number]
        assert (one.key, one.fails) == (call.key, fails)
        assert call.made is not None
        assert not call.fresh or one.began > call.made, "law 5: from before the call was made"


async def run(policies: dict[str, Any], program: Program, clock: HandClock) -> None:
    world = World(policies, clock)
    with anyio.fail_after(20):  # nobody hangs: a program of sixty steps takes milliseconds
        async with anyio.create_task_group() as tasks, world.coalescer:
            for step, turns in program:
                world.step(step, tasks)
                for _ in range(turns):
                    await checkpoint()
                world.check_now(settled=turns == ENOUGH)
            await world.finish()
    world.check_at_the_end()


@pytest.mark.parametrize("backend", [*ASYNCIO_BACKENDS, TRIO_BACKEND])
@settings(suppress_health_check=list(HealthCheck))
@given(policies=POLICIES, program=PROGRAMS)
def test_every_bound_holds_in_random_programs(
    backend: Any, clock: HandClock, policies: dict[str, Any], program: Program
) -> None:
    name, options = backend
    clock.now = 0.0
    anyio.run(run, policies, program, clock, backend=name, backend_options=options)
