"""Random programs of calls that overlap, with cancellations, writes and a store, and an oracle."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyflight import ReadThroughCache
from tests.cache.getting import SlowStore, assert_settled, assert_whole
from tests.support import ASYNCIO_BACKENDS, CANCELLED, PENDING, TRIO_BACKEND, WAYS, Caller

KEYS = st.sampled_from("ab")
STEPS = st.one_of(
    st.tuples(st.just("get"), KEYS, st.booleans(), st.sampled_from(WAYS)),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("end work"), st.integers(0, 30), st.sampled_from(["value", "error"])),
    st.tuples(st.just("write"), st.sampled_from(["invalidate", "tag", "clear", "set"]), KEYS),
    st.tuples(st.just("advance"), st.sampled_from([1.0, 5.0, 11.0])),
    st.tuples(st.just("turns"), st.integers(1, 4)),
)
TTL, WINDOW = 10.0, 5.0


class WorkError(Exception):
    pass


@dataclass
class Version:
    """A value, or an error: of an execution, or set."""

    key: str
    began: int
    ended: float | None = None
    how: str = "value"
    end: anyio.Event = field(default_factory=anyio.Event)


@dataclass
class Call:
    key: str
    fresh: bool
    made: int = 0
    at: float = 0.0
    caller: Caller = field(default_factory=Caller)
    cancelled: bool = False


class World:
    """Runs a program and checks what must hold at every moment."""

    def __init__(self, *, with_store: bool) -> None:
        self.store = SlowStore(lambda: self.now) if with_store else None
        self.cache = ReadThroughCache[str, int](
            ttl=TTL, stale_while_revalidate=WINDOW, error_ttl={WorkError: 2}, store=self.store
        )
        self.tick = self.now = 0.0
        self.ticks = 0
        self.versions: list[Version] = []
        self.calls: list[Call] = []
        self.writes: dict[str, list[int]] = defaultdict(list)

    def moment(self) -> int:
        self.ticks += 1
        return self.ticks

    async def work(self, key: str) -> int:
        one = Version(key, self.moment())
        number = len(self.versions)
        self.versions.append(one)
        await one.end.wait()
        one.ended = self.now
        if one.how == "error":
            raise WorkError(number)
        return number

    async def step(self, step: tuple[Any, ...], tasks: anyio.abc.TaskGroup) -> None:
        match step:
            case ("get", key, fresh, way):
                call = Call(key, fresh)
                self.calls.append(call)
                tasks.start_soon(call.caller.run, way, lambda: self.get(call))
            case ("cancel", index) if self.calls:
                call = self.calls[index % len(self.calls)]
                if hasattr(call.caller, "cancel") and not call.cancelled:
                    call.cancelled = True
                    if call.caller.outcome is PENDING:
                        call.caller.cancel()
            case ("end work", index, how) if self.versions:
                one = self.versions[index % len(self.versions)]
                one.how = one.how if one.end.is_set() else how
                one.end.set()
            case ("write", way, key):
                await self.write(way, key)
            case ("advance", seconds):
                self.now += seconds
            case ("turns", turns):
                for _ in range(turns):
                    await checkpoint()
        assert_whole(self.cache)

    async def get(self, call: Call) -> int:
        call.made, call.at = self.moment(), self.now
        return await self.cache.get(
            call.key, self.work, call.key, fresh=call.fresh, tags=[call.key]
        )

    async def write(self, way: str, key: str) -> None:
        number = len(self.versions)
        for written in "ab" if way == "clear" else key:
            self.writes[written].append(self.moment())
        match way:
            case "invalidate":
                await self.cache.invalidate(key)
            case "tag":
                await self.cache.invalidate_tag(key)
            case "clear":
                await self.cache.clear()
            case _:
                self.versions.append(Version(key, self.moment(), self.now))
                self.versions[-1].end.set()
                await self.cache.set(key, number, tags=[key])

    async def finish(self) -> None:
        while (
            any(call.caller.outcome is PENDING for call in self.calls)
            or self.cache.statistics().flights.in_flight  # in the background, say
        ):
            self.release()
            await checkpoint()

    def release(self) -> None:
        for one in self.versions:
            one.end.set()

    def check(self, call: Call) -> None:
        outcome = call.caller.outcome
        if outcome is CANCELLED:
            assert call.cancelled, "a cancellation that was meant for another"
            return
        number = outcome.args[0] if isinstance(outcome, WorkError) else outcome
        assert isinstance(number, int), repr(outcome)
        one = self.versions[number]
        assert one.key == call.key, "a value of another key"
        assert (one.how == "error") == isinstance(outcome, WorkError)
        if call.fresh:
            assert one.began > call.made, "fresh, but from before the call"
        writes = [moment for moment in self.writes[call.key] if moment < call.made]
        assert one.began > max(writes, default=0), "from before a write that was before the call"
        # A store counts the age from the moment at which it has got the value, which may be late.
        if self.store is None and one.ended is not None and one.ended < call.at:
            life = 2 if one.how == "error" else TTL + WINDOW
            assert call.at - one.ended < life, "too old"


async def run(program: list[tuple[Any, ...]], with_store: bool) -> None:
    world = World(with_store=with_store)
    with anyio.fail_after(10):  # nobody hangs: a program of forty steps takes milliseconds
        async with anyio.create_task_group() as tasks, world.cache:
            world.cache._now = world.cache._first.now = lambda: world.now
            try:
                for step in program:
                    await world.step(step, tasks)
            finally:
                world.release()  # or a fault in a step would look like a hang
            await world.finish()
    for call in world.calls:
        world.check(call)
    assert_settled(world.cache)


@pytest.mark.parametrize("backend", [*ASYNCIO_BACKENDS, TRIO_BACKEND])
@pytest.mark.parametrize("with_store", [False, True])
@settings(suppress_health_check=list(HealthCheck))
@given(program=st.lists(STEPS, min_size=1, max_size=40))
def test_nobody_gets_what_is_too_old_or_was_overtaken_in_random_programs(
    backend: Any, with_store: bool, program: list[tuple[Any, ...]]
) -> None:
    name, options = backend
    anyio.run(run, program, with_store, backend=name, backend_options=options)
