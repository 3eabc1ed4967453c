"""Running a coroutine inside a context that is not its task's own."""

from __future__ import annotations

__all__ = ("InContext",)

from collections.abc import Coroutine, Generator
from contextvars import Context
from types import FrameType
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class InContext(Generic[T]):
    """Awaits a coroutine, each of its steps inside ``context``.

    A task has one context for life. A leader runs one flight after another, each for another
    caller; so not the task is put in the caller's context, but the steps of the work. What the work
    starts (tasks, threads, callbacks) inherits from there, as ever.

    It is an iterator and not a generator for two reasons: it is faster, and it can stand in for the
    coroutine where a debugger follows ``cr_await`` from a task to the innermost frame.
    """

    __slots__ = ("_coroutine", "_run", "closed", "interrupted")

    def __init__(self, coroutine: Coroutine[Any, Any, T], context: Context) -> None:
        self._coroutine = coroutine
        self._run = context.run
        #: Whether a cancellation has been thrown in, whatever the coroutine made of it.
        self.interrupted = False
        #: Whether it was ended from outside.
        self.closed = False

    def __await__(self) -> Generator[Any, Any, T]:
        return cast("Generator[Any, Any, T]", self)  # as far as `await` goes

    def __next__(self) -> Any:
        return self._run(self._coroutine.send, None)

    def send(self, value: Any) -> Any:
        """Take a step, with what the event loop hands in."""
        try:
            return self._run(self._coroutine.send, value)
        finally:
            # On Trio it may be a cancellation, whose traceback leads through `f_back` to this frame
            # (from Python 3.12 on): the two would hold each other, and the frames of the work.
            del value

    def throw(self, *exception: Any) -> Any:
        """Take a step that begins with an exception: a cancellation, or a failed wait."""
        if not isinstance(exception[0], Exception):
            self.interrupted = True
        try:
            return self._run(self._coroutine.throw, *exception)
        finally:
            del exception  # as in `send`

    def close(self) -> None:
        """End it, as Python does with what an event loop left unfinished."""
        self.closed = True
        self._run(self._coroutine.close)

    @property
    def cr_await(self) -> Any:
        """What the coroutine waits for."""
        return self._coroutine.cr_await  # type: ignore[attr-defined] # of the class, not of the ABC

    @property
    def cr_frame(self) -> FrameType | None:
        """Where the coroutine stands."""
        return self._coroutine.cr_frame  # type: ignore[attr-defined,no-any-return] # as above
