"""The owner: the task group to which every leader belongs, and when it takes new calls."""

from __future__ import annotations

__all__ = ("LOOK_AGAIN", "WATCHED", "Owner", "Phase")

from collections.abc import Coroutine
from contextvars import Context, copy_context
from enum import Enum, auto
from sys import get_asyncgen_hooks
from typing import Any, Final

from anyio import (
    ClosedResourceError,
    Event,
    TaskHandle,
    create_task_group,
    get_current_task,
    get_running_tasks,
)
from anyio.abc import TaskGroup
from anyio.lowlevel import EventLoopToken, checkpoint, checkpoint_if_cancelled, current_token


class Phase(Enum):
    """NEW -> OPEN -> CLOSING -> CLOSED -> OPEN and so on, with ABORTING after OPEN or CLOSING."""

    NEW = auto()
    OPEN = auto()
    CLOSING = auto()
    ABORTING = auto()
    CLOSED = auto()


NOWHERE = object()

#: For how many seconds a task that was cancelled, and not by its owner, looks whether that has
#: ended without closing, as when an event loop ends and cancels all tasks; and how often.
WATCHED: Final = 1.0
LOOK_AGAIN: Final = 0.05


class Owner:
    """Opens and closes the task group of the leaders, in one event loop at a time.

    :param label: what to call it in messages
    """

    __slots__ = (
        "_opener",
        "_task_group",
        "_token",
        "context",
        "hook",
        "hook_is_shared",
        "label",
        "new_event",
        "phase",
        "refused",
    )

    def __init__(self, label: str) -> None:
        self.label: str = label
        #: Written by `open`, `end_calls` and `close`. Calls are taken while it is OPEN.
        self.phase: Phase = Phase.NEW
        #: The first of `get_asyncgen_hooks()` under which calls need no `check_loop` to join.
        #: Every event loop sets such hooks of its own while it runs, in its thread alone, so they
        #: tell in a tenth of a microsecond what takes `current_token` seven times as long.
        self.hook: object = NOWHERE
        #: Whether that hook may be in force in another event loop too, so that a call must not
        #: start a flight by its word alone. Trio's is, in guest mode: in the tasks of the host.
        self.hook_is_shared: bool = True
        #: How many calls were refused: while closing or closed, or by ``max_waiters``.
        self.refused: int = 0
        # These hold in the phases OPEN, CLOSING and ABORTING.
        self._opener: int
        self._task_group: TaskGroup
        self._token: EventLoopToken | None = None
        #: Makes an `anyio.Event`. It is the class of the back end's own events, which `anyio.Event`
        #: would look up each time, for as long as all the rest of it takes.
        self.new_event: type[Event]
        #: The context in which this was opened. Tasks of its own run in it, not in a caller's.
        self.context: Context

    def __str__(self) -> str:
        return f"{self.label} ({self.phase.name.lower()})"

    async def open(self) -> None:
        """Take calls from now on. Not a checkpoint."""
        if self._token is not None:
            raise RuntimeError(
                f"{self} cannot be entered twice: open it once, where the program starts, and let "
                "all callers share it (after an event loop that ended inside the block, make a new "
                "one)"
            )
        task_group = create_task_group()
        await task_group.__aenter__()  # does not yield: nobody comes in between
        self._opener = get_current_task().id
        self._task_group = task_group
        self._token = current_token()
        self.hook = get_asyncgen_hooks()[0] or NOWHERE  # an event loop without them has None
        self.hook_is_shared = not hasattr(self.hook, "__self__")  # it is no method of its loop
        self.new_event = type(Event())
        self.context = copy_context()
        self.phase = Phase.OPEN

    def end_calls(self, phase: Phase) -> None:
        """Refuse calls from now on: CLOSING or ABORTING."""
        self.phase = phase
        self.hook = NOWHERE

    def check_entered(self) -> None:
        """Raise a :exc:`RuntimeError` if there is nothing to close, or not from here."""
        if self._token is None:
            raise RuntimeError(f"{self} was not entered")
        self.check_loop()

    async def close(self, exc: BaseException | None) -> bool:
        """Wait until every leader has ended; with an exception, cancel them first."""
        try:
            if exc is None:
                await self._task_group.__aexit__(None, None, None)
            else:
                await self._task_group.__aexit__(type(exc), exc, exc.__traceback__)
        except BaseExceptionGroup as group:
            # That there is a task group is no concern of the user's, and a leader adds to it only
            # what is no Exception (KeyboardInterrupt): so one exception alone comes out as itself.
            only, *others = group.exceptions
            if others:
                raise
        except BaseException:
            del exc  # whose frames lead here
            raise
        else:
            if exc is not None:
                # The group has cancelled the block for a leader's sake and thinks that all is well.
                raise RuntimeError(f"{self}: a leader was cancelled from outside before it began")
            # Leaders keep their cancellations to themselves, and a nursery of Trio goes by what its
            # children raise: it says nothing of a cancellation that came while it waited.
            await checkpoint_if_cancelled()
            return False
        finally:
            self.phase = Phase.CLOSED
            self._token = None
            del self._task_group, self.new_event, self.context
        if only is exc or isinstance(exc, Exception):  # a group may be put in anew
            return False
        try:
            raise only
        finally:
            del only, exc  # whose frames may lead here

    def is_abandoned(self) -> bool:
        """Whether the task that opened this has ended without closing it, so that nobody will."""
        return all(task.id != self._opener for task in get_running_tasks())

    def start(self, task: Coroutine[Any, Any, None], *, name: str) -> TaskHandle[None]:
        """Start a task. Its first step comes later, after the current one of this task."""
        try:
            return self._task_group.create_task(task, name=name, context=self.context)
        except Exception:
            task.close()
            raise

    def check_loop(self) -> None:
        """Raise a :exc:`RuntimeError` in another event loop than the one where this is open."""
        if self._token is None:
            return
        try:
            here = current_token()
        except RuntimeError:
            here = None  # no event loop at all
            if get_asyncgen_hooks()[0] is self.hook:
                # Only a task knows its event loop, as far as anyio can tell.
                raise RuntimeError(
                    f"{self} must be used in a task: a callback of the event loop, such as a "
                    "driver's listener, can start one"
                ) from None
        if here != self._token:
            raise RuntimeError(
                f"{self} belongs to another event loop or thread: give each event loop one of its "
                "own, and call its methods from a worker thread with "
                "anyio.from_thread.run(method, *args)"
            )

    async def admit(self) -> None:
        """Take a call that comes where the hook is another one, or raise what is wrong with it.

        :raises RuntimeError: if this was never opened, or in another event loop or thread
        :raises anyio.ClosedResourceError: if it is closing or closed
        """
        if self.phase is Phase.OPEN:
            self.check_loop()  # fine, if somebody has set hooks of their own
            return
        if self.phase is Phase.NEW:
            raise RuntimeError(f"{self} is not open: call it inside its 'async with' block")
        await self.refuse()
        raise ClosedResourceError(f"{self} takes no new calls")

    async def refuse(self) -> None:
        """Count a call that is about to be refused."""
        self.refused += 1
        await checkpoint()  # a caller that tries again and again must not keep out all others
