"""Runs a program in an event loop, and writes its history."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial

import anyio
import trio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from proof.history import (
    CANCELLED,
    NOT_MADE,
    PENDING,
    CallRecord,
    Execution,
    ForgetRecord,
    History,
    Result,
    WorkError,
)
from proof.invariants import look_at_the_table, use_again
from proof.plans import Call, Delay, Forget, Program
from proof.setting import NAME, Setting
from proof.tasks import tasks_on_asyncio, tasks_on_trio
from proof.ways import foreign_cancellation, is_cancelled_natively, on_trio, run_cancellably

PATIENCE = 1000.0
"""Seconds on the virtual clock after which whoever still waits hangs. No program lasts as long."""

caller: ContextVar[CallRecord] = ContextVar("caller")
worker: ContextVar[Execution | None] = ContextVar("worker", default=None)
"""Set by work and never set back: none but the calls that it makes shall see it."""


class OwnerError(Exception):
    """With which the block of the coalescer is left."""


class World:
    """One coalescer, and the program that uses it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.history = History()
        self.opened = False
        self.on_trio = False
        self.cancel: Callable[[], object] | None = None
        self._setting = Setting(program)
        self._coalescer = self._setting.coalescer
        self._tasks: TaskGroup

    async def play(self) -> History:
        """Run the program to its end, whatever that is."""
        self.on_trio = on_trio()
        # Not anyio's, which cannot be asked for the time between two steps.
        self.history.clock = trio.current_time if on_trio() else asyncio.get_running_loop().time
        with anyio.move_on_after(PATIENCE) as patience:
            async with anyio.create_task_group() as self._tasks:
                await self._tasks.start(self._own)
                for call in self.program.calls:
                    self._tasks.start_soon(self._call, call, None)
                for forget in self.program.forgets:
                    self._tasks.start_soon(self._forget, forget)
        if patience.cancelled_caught:
            self.history.remark(16, "somebody waits for ever")
        else:
            self.history.statistics = self._coalescer.statistics()
            await use_again(self._setting, self.program.all_keys(), self.history)
        return self.history

    def cancel_owner(self) -> None:
        """Cancel the block of the coalescer from outside."""
        history = self.history
        if history.owner is PENDING:
            when = history.note("the owner is told to stop")
            history.leaving = min(history.leaving, when)
            history.aborted = min(history.aborted, when)
            if self.cancel is not None:
                self.cancel()

    def leaders(self) -> Sequence[object]:
        """Return the tasks of the leaders; to be called in the event loop, between steps too."""
        return tasks_on_trio(NAME) if self.on_trio else tasks_on_asyncio(NAME)

    # The owner

    async def _own(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        history, end = self.history, self.program.end

        async def own() -> None:
            try:
                async with self._coalescer:
                    self.opened = True
                    task_status.started()
                    await self._stay()
                history.owner = None
            except OwnerError as exc:
                history.owner = exc
            except anyio.get_cancelled_exc_class():
                history.owner = CANCELLED
                raise
            except BaseException as exc:
                history.owner = exc
                raise
            finally:
                history.closed = history.note(f"the owner is gone: {history.owner!r}")
                self._setting.look_at_what_is_left(history)
                if self.leaders():
                    history.remark(16, "leaders are left when the block has been")

        try:
            await run_cancellably(end.way, self, own)
        except Exception as exc:
            history.note(f"out of the block comes {exc!r}")

    async def _stay(self) -> None:
        history, end = self.history, self.program.end
        if end.how == "cancel":
            self._tasks.start_soon(self._later, end.at, self.cancel_owner)
            await anyio.sleep_forever()
        await _wait(end.at)
        when = history.note(f"the owner is to {end.how}")
        history.leaving = min(history.leaving, when)
        if end.how == "leave":
            history.closing = when
        else:
            history.aborted = min(history.aborted, history.leaving)
            raise OwnerError

    async def _later(self, delay: Delay, do: Callable[[], None]) -> None:
        await _wait(delay)
        do()

    # The callers

    async def _call(self, plan: Call, parent: Execution | None) -> None:
        await _wait(plan.at)
        record = CallRecord(len(self.history.calls), plan, parent)
        self.history.calls.append(record)
        if plan.cancel is not None:
            self._tasks.start_soon(self._later, plan.cancel, partial(self.history.cancel, record))
        await run_cancellably(plan.way, record, partial(self._execute, record))
        if record.outcome is PENDING:
            record.outcome = NOT_MADE

    async def _execute(self, record: CallRecord) -> None:
        plan, history = record.plan, self.history
        caller.set(record)
        record.made = history.note(
            f"{record} of {record.parent or 'the program'} for {plan.key!r}"
            f"{', fresh' if plan.fresh else ''}"
        )
        if plan.doomed:
            history.cancel(record)
        try:
            record.outcome = await self._coalescer.execute(
                plan.key,
                self._work,
                record,
                fresh=plan.fresh,
                timeout=plan.timeout,
                fallback=None if plan.fallback is None else self._fallback,
            )
        except Exception as exc:
            record.outcome = exc
        except anyio.get_cancelled_exc_class():
            record.outcome = CANCELLED
            raise
        finally:
            record.ended = history.note(f"{record} gets {record.outcome!r}")
            self._look_at_notes(record)
            look_at_the_table(self._setting, self.history)

    def _look_at_notes(self, record: CallRecord) -> None:
        if isinstance(record.outcome, WorkError):
            if hasattr(record.outcome, "__notes__"):
                self.history.remark(8, f"{record} sees the notes of another on its error")
            record.outcome.add_note(f"of {record}")

    async def _fallback(self, record: CallRecord) -> Result:
        record.gave_up = self.history.note(f"{record} falls back")
        if record.plan.fallback is not None:
            await _wait(record.plan.fallback)
        return Result(record)

    async def _forget(self, forget: Forget) -> None:
        await _wait(forget.at)
        when = self.history.note(f"forget {forget.key!r}")
        record = ForgetRecord(forget.key, when)
        self.history.forgets.append(record)
        record.answer = self._coalescer.forget(forget.key)
        look_at_the_table(self._setting, self.history)

    # The work

    async def _work(self, starter: CallRecord) -> Result:
        history, plan = self.history, starter.plan.work
        one = self._begin(starter)
        try:
            await self._perform(one)
            foreign = await foreign_cancellation() if plan.ending == "foreign" else None
            one.ending = plan.ending
            if foreign is not None:
                raise foreign
        except anyio.get_cancelled_exc_class():
            if one.ending == "foreign":
                raise
            one.ending = "cancelled"
            one.cancelled = history.note(f"{one} is cancelled")
            if plan.cleanup is not None:
                with anyio.CancelScope(shield=True):
                    await _wait(plan.cleanup)
            if not plan.stubborn:
                raise
            one.ending = "value"
        finally:
            one.ended = history.note(f"{one} ends with: {one.ending}")
        if one.ending == "error":
            raise WorkError(one)
        one.result = Result(one)
        return one.result

    def _begin(self, starter: CallRecord) -> Execution:
        history, key = self.history, starter.plan.key
        number = len(history.executions)
        began = history.note(f"execution {number} of {key!r} begins, for {starter}")
        running = [one for one in history.executions if one.key == key and one.running_now]
        one = Execution(number, key, starter, caller.get(None), began, running)
        history.executions.append(one)
        self._look_at_the_task(one)
        worker.set(one)
        look_at_the_table(self._setting, self.history)
        return one

    def _look_at_the_task(self, one: Execution) -> None:
        """Check that nothing of earlier work is left in the task."""
        expected = one.starter.parent if self.program.context == "caller" else None
        if worker.get() is not expected:
            self.history.remark(14, f"{one} sees a context variable of {worker.get()}")
        cancelled = anyio.current_effective_deadline() == -math.inf
        one.doomed = cancelled or is_cancelled_natively()

    async def _perform(self, one: Execution) -> None:
        plan = one.starter.plan.work
        await _wait(plan.lasts)
        if plan.together:
            async with anyio.create_task_group() as tasks:
                for call in plan.calls:
                    tasks.start_soon(self._call, call, one)
        else:
            for call in plan.calls:
                await self._call(call, one)


async def _wait(delay: Delay) -> None:
    if delay.seconds:
        await anyio.sleep(delay.seconds)
    for _ in range(delay.turns):
        await checkpoint()
