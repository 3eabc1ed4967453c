"""Plays a program in an event loop and writes its history: what all kinds of programs share."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from contextvars import ContextVar
from functools import partial
from typing import Any, Generic, TypeVar

import anyio
import trio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from proof.history import (
    CANCELLED,
    NOT_MADE,
    PENDING,
    CallRecord,
    ForgetRecord,
    History,
    Run,
    WorkError,
)
from proof.invariants import look_at_the_table, use_again
from proof.plans import Delay, Forget
from proof.setting import NAME, Setting
from proof.tasks import tasks_on_asyncio, tasks_on_trio
from proof.ways import foreign_cancellation, is_cancelled_natively, on_trio, run_cancellably

PATIENCE = 1000.0
"""Seconds on the virtual clock after which whoever still waits hangs. No program lasts as long."""

caller: ContextVar[CallRecord] = ContextVar("caller")
worker: ContextVar[Run | None] = ContextVar("worker", default=None)
"""Set by work and never set back: none but the calls that it makes shall see it."""

R = TypeVar("R", bound=Run)


class OwnerError(Exception):
    """With which the block of the owner is left."""


class Stage(ABC, Generic[R]):
    """What a program is about, its owner and its callers.

    :param program: has calls, forgets, an end, and keys; each kind its own
    """

    def __init__(self, program: Any, setting: Setting) -> None:
        self.program = program
        self.history: History[R] = History()
        self.opened = False
        self.on_trio = False
        self.cancel: Callable[[], object] | None = None
        self._setting = setting
        self._tasks: TaskGroup

    @abstractmethod
    async def _ask(self, record: CallRecord) -> Any:
        """Make a call, and return what it returns."""

    @abstractmethod
    def _forget_key(self, key: str) -> bool:
        """Call `forget`."""

    async def play(self) -> History[R]:
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
            self.history.statistics = self._setting.statistics()
            await use_again(self._setting, self.program.all_keys(), self.history)
        return self.history

    def cancel_owner(self) -> None:
        """Cancel the block of the owner from outside."""
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

    def look(self) -> None:
        """Look for what is wrong at this moment."""
        look_at_the_table(self._setting, self.history)

    # The owner

    async def _own(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        history, end = self.history, self.program.end

        async def own() -> None:
            try:
                async with AsyncExitStack() as stack:
                    for subject in self._setting.subjects:
                        await stack.enter_async_context(subject)
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
        await wait(end.at)
        when = history.note(f"the owner is to {end.how}")
        history.leaving = min(history.leaving, when)
        if end.how == "leave":
            history.closing = when
        else:
            history.aborted = min(history.aborted, history.leaving)
            raise OwnerError

    async def _later(self, delay: Delay, do: Callable[[], None]) -> None:
        await wait(delay)
        do()

    # The callers

    async def _call(self, plan: Any, parent: Run | None) -> None:
        await wait(plan.at)
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
        record.made = history.note(f"{record} of {record.parent or 'the program'} for {plan}")
        if plan.doomed:
            history.cancel(record)
        try:
            record.outcome = await self._ask(record)
        except Exception as exc:
            record.outcome = exc
        except anyio.get_cancelled_exc_class():
            record.outcome = CANCELLED
            raise
        finally:
            record.ended = history.note(f"{record} gets {record.outcome!r}")
            self._look_at_notes(record)
            self.look()

    def _look_at_notes(self, record: CallRecord) -> None:
        if isinstance(record.outcome, WorkError):
            if hasattr(record.outcome, "__notes__"):
                self.history.remark(8, f"{record} sees the notes of another on its error")
            record.outcome.add_note(f"of {record}")

    async def _forget(self, forget: Forget) -> None:
        await wait(forget.at)
        when = self.history.note(f"forget {forget.key!r}")
        record = ForgetRecord(forget.key, when)
        self.history.forgets.append(record)
        record.answer = self._forget_key(forget.key)
        self.look()

    # The work

    def _begin(self, one: R, parent: Run | None) -> None:
        """Take note of an execution that begins; nothing of earlier work may be in its task.

        :param parent: the execution in whose context variables it should run
        """
        self.history.executions.append(one)
        if worker.get() is not parent:
            self.history.remark(14, f"{one} sees a context variable of {worker.get()}")
        cancelled = anyio.current_effective_deadline() == -math.inf
        one.doomed = cancelled or is_cancelled_natively()
        worker.set(one)
        self.look()

    async def _perform(self, one: R, plan: Any, calls: Callable[[], Awaitable[None]]) -> None:
        """Do what the plan of some work says, and write down how that ends; raise for its end."""
        history = self.history
        try:
            await wait(plan.lasts)
            await calls()
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
                    await wait(plan.cleanup)
            if not plan.stubborn:
                raise
            one.ending = "value"
        finally:
            one.ended = history.note(f"{one} ends with: {one.ending}")
        if one.ending == "error":
            raise WorkError(one)

    async def _make(self, calls: Sequence[Any], one: R, *, together: bool) -> None:
        """Make the calls of some work."""
        if together:
            async with anyio.create_task_group() as tasks:
                for call in calls:
                    tasks.start_soon(self._call, call, one)
        else:
            for call in calls:
                await self._call(call, one)


async def wait(delay: Delay) -> None:
    """Wait as long as is said."""
    if delay.seconds:
        await anyio.sleep(delay.seconds)
    for _ in range(delay.turns):
        await checkpoint()
