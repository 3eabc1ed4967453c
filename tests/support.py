"""Work that obeys the test, and callers that can be cancelled in every way there is."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Self

import anyio
import pytest
import trio
import trio.testing
from anyio import wait_all_tasks_blocked
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from anyflight import Coalescer


def eager_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop whose tasks run their first step when they are made (3.12 and later)."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    return loop


TRIO_BACKEND = pytest.param(("trio", {}), id="trio")
ASYNCIO_BACKENDS = [pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio")]
if sys.platform != "win32":
    ASYNCIO_BACKENDS.append(pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"))
if sys.version_info >= (3, 12):
    ASYNCIO_BACKENDS.append(pytest.param(("asyncio", {"loop_factory": eager_loop}), id="eager"))


def timed(backend: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Return the back end; Trio with a clock that jumps as soon as all tasks wait."""
    if backend[0] == "asyncio":
        return backend
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


CANCELLED = object()
PENDING = object()
WAYS = ("scope", "native", "native timeout")


class Work:
    """An async function that counts its executions and ends when the test says so.

    Each execution returns its arguments' first, or raises what `fail` holds. With `slow_cleanup`,
    a cancelled one stays in its (shielded) clean-up until `cleaned_up` is set.
    """

    def __init__(self, *, fail: BaseException | None = None, slow_cleanup: bool = False) -> None:
        self.fail = fail
        self.slow_cleanup = slow_cleanup
        self.go = anyio.Event()
        self.cleaned_up = anyio.Event()
        self.calls: list[tuple[Any, ...]] = []
        self.running = 0
        self.most_running = 0
        self.cancelled = 0

    async def __call__(self, *args: Any) -> Any:
        self.calls.append(args)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.go.wait()
            if self.fail is not None:
                raise self.fail
            return args[0] if args else None
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            if self.slow_cleanup:
                with anyio.CancelScope(shield=True):
                    await self.cleaned_up.wait()
            raise
        finally:
            self.running -= 1


class Caller:
    """One task that awaits something; its outcome, and a way to cancel it."""

    def __init__(self) -> None:
        self.outcome: Any = PENDING
        self.cancel: Callable[[], object]

    @property
    def value(self) -> Any:
        assert not isinstance(self.outcome, BaseException), repr(self.outcome)
        assert self.outcome is not PENDING
        return self.outcome

    async def run(self, way: str, func: Callable[[], Awaitable[Any]]) -> None:
        try:
            self.outcome = await WAYS_TO_RUN[way, _backend()](self, func)
        except Exception as exc:
            self.outcome = exc


def _backend() -> str:
    return "trio" if anyio.get_cancelled_exc_class() is trio.Cancelled else "asyncio"


async def _in_scope(caller: Caller, func: Callable[[], Awaitable[Any]]) -> Any:
    with anyio.CancelScope() as scope:
        caller.cancel = scope.cancel
        return await func()
    return CANCELLED


async def _in_asyncio_task(caller: Caller, func: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await func()

    task = asyncio.create_task(main())
    caller.cancel = task.cancel
    try:
        return await task
    except asyncio.CancelledError:
        return CANCELLED


async def _in_asyncio_timeout(caller: Caller, func: Callable[[], Awaitable[Any]]) -> Any:
    try:
        async with asyncio.timeout(None) as timeout:
            caller.cancel = lambda: timeout.reschedule(asyncio.get_running_loop().time())
            return await func()
    except TimeoutError:
        if timeout.expired():
            return CANCELLED
        raise


async def _in_trio_scope(caller: Caller, func: Callable[[], Awaitable[Any]]) -> Any:
    with trio.CancelScope() as scope:
        caller.cancel = scope.cancel
        return await func()
    return CANCELLED


async def _in_trio_timeout(caller: Caller, func: Callable[[], Awaitable[Any]]) -> Any:
    with trio.move_on_after(math.inf) as scope:
        caller.cancel = lambda: setattr(scope, "deadline", trio.current_time())
        return await func()
    return CANCELLED


WAYS_TO_RUN: dict[tuple[str, str], Callable[..., Awaitable[Any]]] = {
    ("scope", "asyncio"): _in_scope,
    ("scope", "trio"): _in_scope,
    ("native", "asyncio"): _in_asyncio_task,
    ("native", "trio"): _in_trio_scope,
    ("native timeout", "asyncio"): _in_asyncio_timeout,
    ("native timeout", "trio"): _in_trio_timeout,
}


def asyncio_tasks(role: str) -> list[asyncio.Task[Any]]:
    """Return the tasks of coalescers that are what is said, on asyncio."""
    return [task for task in asyncio.all_tasks() if task.get_name().endswith(role)]


async def caught_cancellation() -> BaseException:
    """Return a cancellation that was caught: raised again, it is meant for nobody."""
    caught: list[BaseException] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except BaseException as exc:
            caught.append(exc)
            raise
    return caught[0]


class HandClock:
    """The clock that the package reads and sleeps by, on every back end; only the test moves it.

    It starts at zero, as Trio's `MockClock` does: no time is a special one.
    """

    #: The modules that read the time.
    READERS = ("_announcer", "_calls", "_deadlines", "_leaders", "_owning")

    def __init__(self) -> None:
        self.now = 0.0
        self._alarms: list[tuple[float, Callable[[], object]]] = []

    def current_time(self) -> float:
        return self.now

    async def sleep_until(self, deadline: float) -> None:
        event = anyio.Event()
        alarm = (deadline, event.set)
        self._alarms.append(alarm)
        try:
            self.advance(0)
            await event.wait()
        finally:
            self._alarms.remove(alarm)

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self.now + seconds)

    @contextmanager
    def move_on_after(self, seconds: float | None, *, shield: bool = False) -> Generator[HandScope]:
        scope = HandScope(self, shield=shield)
        scope.deadline = math.inf if seconds is None else self.now + seconds
        with scope:
            yield scope

    @contextmanager
    def fail_after(self, seconds: float, *, shield: bool = False) -> Generator[HandScope]:
        with self.move_on_after(seconds, shield=shield) as scope:
            yield scope
        if scope.cancelled_caught:
            raise TimeoutError

    def cancel_scope(self) -> HandScope:
        return HandScope(self)

    @property
    def alarms(self) -> list[float]:
        """When somebody wants to be woken."""
        return [deadline for deadline, _ in self._alarms]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for deadline, ring in self._alarms:
            if deadline <= self.now:
                ring()

    def set_alarm(self, deadline: float, ring: Callable[[], object]) -> None:
        """Let this be called at a time, and at no other for which it was set before."""
        self._alarms = [alarm for alarm in self._alarms if alarm[1] != ring]
        if deadline != math.inf:
            self._alarms.append((deadline, ring))
            self.advance(0)


class HandScope:
    """A cancel scope whose deadline is one of the test's clock."""

    def __init__(self, clock: HandClock, *, shield: bool = False) -> None:
        self._clock = clock
        self._scope = anyio.CancelScope(shield=shield)
        self._deadline = math.inf
        self._entered = False

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._entered = True
        self._clock.set_alarm(self._deadline, self.cancel)
        return self

    def __exit__(self, *exc_info: Any) -> bool:  # noqa: PYI036 - passed on
        self._entered = False
        self._clock.set_alarm(math.inf, self.cancel)
        return bool(self._scope.__exit__(*exc_info))

    @property
    def deadline(self) -> float:
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline = deadline
        if self._entered:
            self._clock.set_alarm(deadline, self.cancel)

    @property
    def cancel_called(self) -> bool:
        return self._scope.cancel_called

    @property
    def cancelled_caught(self) -> bool:
        return self._scope.cancelled_caught

    def cancel(self) -> None:
        self._scope.cancel()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """Let the package read and sleep by a clock that the test moves."""
    clock = HandClock()
    for name in HandClock.READERS:
        monkeypatch.setattr(import_module(f"anyflight.{name}"), "current_time", clock.current_time)
    monkeypatch.setattr("anyflight._deadlines.sleep_until", clock.sleep_until)
    monkeypatch.setattr("anyflight._coalescer.move_on_after", clock.move_on_after)
    return clock


async def settle() -> None:
    """Return when every other task waits.

    On asyncio, anyio looks, and if a task can still run looks again a tenth of a second later. Some
    turns of the loop first make that rare.
    """
    for _ in range(10):
        await checkpoint()
    await wait_all_tasks_blocked()


async def start(
    task_group: TaskGroup,
    coalescer: Coalescer[Any, Any],
    key: Any,
    func: Callable[..., Awaitable[Any]],
    *args: Any,
    way: str = "scope",
    **options: Any,
) -> Caller:
    """Start one call; return when it waits (and every other task does)."""
    (caller,) = await start_many(1, task_group, coalescer, key, func, *args, way=way, **options)
    return caller


async def start_many(
    count: int,
    task_group: TaskGroup,
    coalescer: Coalescer[Any, Any],
    key: Any,
    func: Callable[..., Awaitable[Any]],
    *args: Any,
    way: str = "scope",
    **options: Any,
) -> list[Caller]:
    """Start so many calls; the first is the starter. Return when all of them wait."""
    callers = [Caller() for _ in range(count)]

    async def call() -> Any:
        return await coalescer.execute(key, func, *args, **options)

    task_group.start_soon(callers[0].run, way, call)
    await settle()
    for caller in callers[1:]:
        task_group.start_soon(caller.run, way, call)
    await settle()
    return callers


def assert_idle(coalescer: Coalescer[Any, Any]) -> None:
    """Check the identities of the statistics, and law 16 as far as one can see from outside."""
    now = coalescer.statistics()
    assert now.in_flight == now.waiting == 0
    assert coalescer.flights() == ()
    assert now.calls + now.retried == now.flights + now.joined + now.refused
    assert now.flights == now.succeeded + now.failed + now.cancelled + now.timed_out
    assert len(list(coalescer._table)) == 0
