"""A batch function that ends when the test says so, and callers of a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from anyflight import BatchLoader
from tests.support import Caller, settle


class LoadBatch:
    """Counts its executions, and holds each of them at its gate, until `release` opens them all.

    It returns ``answer(key)`` for each key, leaves out those in `absent`, or raises what `fail`
    holds. With `slow_cleanup`, a cancelled one stays in its (shielded) clean-up until `cleaned_up`
    is set.
    """

    def __init__(
        self,
        *,
        absent: Iterable[Any] = (),
        answer: Callable[[Any], Any] = lambda key: f"value of {key}",
        fail: BaseException | None = None,
        slow_cleanup: bool = False,
    ) -> None:
        self.absent = {*absent}
        self.answer = answer
        self.fail = fail
        self.slow_cleanup = slow_cleanup
        self.gates: list[anyio.Event] = []
        self.open = False
        self.cleaned_up = anyio.Event()
        self.batches: list[list[Any]] = []
        self.running = 0
        self.most_running = 0
        self.cancelled = 0

    def release(self) -> None:
        """Let the executions end, and those to come."""
        self.open = True
        for gate in self.gates:
            gate.set()

    async def __call__(self, keys: list[Any]) -> dict[Any, Any]:
        self.batches.append(keys)
        gate = anyio.Event()
        self.gates.append(gate)
        if self.open:
            gate.set()
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await gate.wait()
            if self.fail is not None:
                raise self.fail
            return {key: self.answer(key) for key in keys if key not in self.absent}
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            if self.slow_cleanup:
                with anyio.CancelScope(shield=True):
                    await self.cleaned_up.wait()
            raise
        finally:
            self.running -= 1


async def ask(
    tasks: TaskGroup,
    loader: BatchLoader[Any, Any],
    *keys: Any,
    way: str = "scope",
    **options: Any,
) -> list[Caller]:
    """Load each key in a task of its own; return when all tasks wait."""
    callers = [Caller() for _ in keys]
    for caller, key in zip(callers, keys, strict=True):
        tasks.start_soon(caller.run, way, _call(loader, key, options))
    await settle()
    return callers


def _call(loader: BatchLoader[Any, Any], key: Any, options: dict[str, Any]) -> Callable[[], Any]:
    return lambda: loader.load(key, **options)


async def ask_many(
    tasks: TaskGroup,
    loader: BatchLoader[Any, Any],
    *keys: Any,
    way: str = "scope",
    **options: Any,
) -> Caller:
    """Load the keys in one call; return when all tasks wait."""
    caller = Caller()
    tasks.start_soon(caller.run, way, lambda: loader.load_many(keys, **options))
    await settle()
    return caller


def assert_idle(loader: BatchLoader[Any, Any]) -> None:
    """Check the identities of the statistics, and law 16 as far as one can see from outside."""
    now = loader.statistics()
    assert now.in_flight == now.waiting == 0
    assert loader.flights() == ()
    assert now.calls == now.flights + now.joined + now.refused
    assert now.flights == now.succeeded + now.failed + now.cancelled + now.timed_out
    assert list(loader._table) == list(loader._batches._table) == []
    assert not loader._batches._ready
    assert not loader._batches._gathering
