"""All laws at once: random programs of calls, cancellations, landings and forgets, and an oracle.

A program decides between its steps how many turns the event loop takes: none, so that things meet
in one tick, or a few. A program that fails is printed and shrunk by hypothesis.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyflight import Coalescer, FlightCancelledError
from tests.support import (
    ASYNCIO_BACKENDS,
    CANCELLED,
    PENDING,
    TRIO_BACKEND,
    WAYS,
    Caller,
    assert_idle,
)

KEYS = st.sampled_from("ab")
STEPS = st.one_of(
    st.tuples(st.just("call"), KEYS, st.booleans(), st.sampled_from(WAYS)),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(
        st.just("end work"), st.integers(0, 30), st.sampled_from(["value", "error", "stray"])
    ),
    st.tuples(st.just("end clean-up"), st.integers(0, 30)),
    st.tuples(st.just("forget"), KEYS),
    st.tuples(st.just("turns"), st.integers(1, 4)),
)
PROGRAMS = st.lists(STEPS, min_size=1, max_size=40)


@dataclass
class Execution:
    key: str
    number: int
    began: int
    end: anyio.Event = field(default_factory=anyio.Event)
    cleaned_up: anyio.Event = field(default_factory=anyio.Event)
    how: str = "value"


@dataclass
class Call:
    key: str
    fresh: bool
    made: int
    caller: Caller = field(default_factory=Caller)
    cancelled: bool = False


class WorkError(Exception):
    pass


class World:
    """Runs a program and checks what must hold at every moment."""

    def __init__(self, on_abandon: Literal["cancel", "finish"]) -> None:
        self.coalescer = Coalescer[str, int](on_abandon=on_abandon)
        self.clock = 0
        self.executions: list[Execution] = []
        self.calls: list[Call] = []
        self.running: dict[str, int] = defaultdict(int)
        self.forgotten: set[str] = set()

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    async def work(self, key: str) -> int:
        one = Execution(key, len(self.executions), self.tick())
        self.executions.append(one)
        self.running[key] += 1
        assert self.running[key] == 1 or key in self.forgotten, "law 4: two executions overlap"
        try:
            await one.end.wait()
            if one.how == "error":
                raise WorkError(one.number)
            if one.how == "stray":
                raise (
                    anyio.get_cancelled_exc_class()._create()
                    if hasattr(anyio.get_cancelled_exc_class(), "_create")
                    else anyio.get_cancelled_exc_class()()
                )
            return one.number
        finally:
            with anyio.CancelScope(shield=True):
                if not one.end.is_set():
                    await one.cleaned_up.wait()
            self.running[key] -= 1

    async def step(self, step: tuple[Any, ...], tasks: anyio.abc.TaskGroup) -> None:
        match step:
            case ("call", key, fresh, way):
                call = Call(key, fresh, self.tick())
                self.calls.append(call)

                async def execute() -> int:
                    call.made = self.tick()
                    return await self.coalescer.execute(key, self.work, key, fresh=fresh)

                tasks.start_soon(call.caller.run, way, execute)
            case ("cancel", index) if self.calls:
                call = self.calls[index % len(self.calls)]
                if hasattr(call.caller, "cancel") and not call.cancelled:
                    call.cancelled = True
                    if call.caller.outcome is PENDING:
                        call.caller.cancel()
            case ("end work", index, how) if self.executions:
                one = self.executions[index % len(self.executions)]
                one.how = one.how if one.end.is_set() else how
                one.end.set()
            case ("end clean-up", index) if self.executions:
                self.executions[index % len(self.executions)].cleaned_up.set()
            case ("forget", key):
                self.forgotten.add(key)
                self.coalescer.forget(key)
            case ("turns", turns):
                for _ in range(turns):
                    await checkpoint()

    async def finish(self) -> None:
        """Let all work end that is still running, until nothing is in the air."""
        while (
            any(call.caller.outcome is PENDING for call in self.calls) or self.coalescer.flights()
        ):
            self.release()
            await checkpoint()

    def release(self) -> None:
        for one in self.executions:
            one.end.set()
            one.cleaned_up.set()

    def check(self, *, owner_cancelled: bool) -> None:
        for call in self.calls:
            self.check_outcome(call, call.caller.outcome, owner_cancelled=owner_cancelled)
        assert not any(self.running.values())
        assert_idle(self.coalescer)

    def check_outcome(self, call: Call, outcome: Any, *, owner_cancelled: bool) -> None:
        if outcome is CANCELLED:
            assert call.cancelled, "law 9: a cancellation that was meant for another"
            return
        if isinstance(outcome, FlightCancelledError):
            stray = any(one.key == call.key and one.how == "stray" for one in self.executions)
            assert owner_cancelled or stray, "law 9: cancelled without a reason"
            return
        if isinstance(outcome, anyio.ClosedResourceError):
            assert owner_cancelled
            return
        number = outcome.args[0] if isinstance(outcome, WorkError) else outcome
        assert isinstance(number, int), repr(outcome)
        one = self.executions[number]
        assert one.key == call.key, "a result of another key"
        assert one.how == ("error" if isinstance(outcome, WorkError) else "value")
        if call.fresh:
            assert one.began > call.made, "law 5: a result from before the call was made"


async def run(program: list[tuple[Any, ...]], on_abandon: Any, cancel_owner: bool) -> None:
    world = World(on_abandon)
    with anyio.fail_after(10):  # nobody hangs: a program of forty steps takes milliseconds
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as owner:
                async with world.coalescer:
                    try:
                        for step in program:
                            await world.step(step, tasks)
                    except BaseException:
                        world.release()  # or a fault in a step would look like a hang
                        raise
                    if cancel_owner:
                        owner.cancel()
                        for one in world.executions:
                            one.cleaned_up.set()
                        tasks.start_soon(world.finish)
                    await world.finish()
    world.check(owner_cancelled=cancel_owner)


@pytest.mark.parametrize("backend", [*ASYNCIO_BACKENDS, TRIO_BACKEND])
@pytest.mark.parametrize("on_abandon", ["cancel", "finish"])
@settings(suppress_health_check=list(HealthCheck))
@given(program=PROGRAMS, cancel_owner=st.booleans())
def test_every_law_holds_in_random_programs(
    backend: Any, on_abandon: str, program: list[tuple[Any, ...]], cancel_owner: bool
) -> None:
    name, options = backend
    anyio.run(run, program, on_abandon, cancel_owner, backend=name, backend_options=options)
