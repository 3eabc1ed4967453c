"""How a flight ends: with a value, with an error, or by cancellation."""

from __future__ import annotations

__all__ = ("OWNER_GONE", "Cancellation", "Failure", "Outcome", "Value", "judge")

import math
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeAlias, TypeVar, cast

from anyio import current_effective_deadline, get_cancelled_exc_class

from ._errors import FlightCancelledError
from ._isolation import isolated_copy

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Value(Generic[V]):
    """The work returned."""

    value: V


@dataclass(frozen=True, slots=True)
class Failure:
    """The work raised an :class:`Exception`.

    The error here is never handed out while a copy can be: it is what the copies are made from, so
    it must stay as it was at the landing.

    :ivar traceback: the leader's frames, as they were at the landing
    """

    error: Exception
    traceback: TracebackType | None

    def to_raise(self, key: object, *, alone: bool) -> Exception:  # noqa: ARG002 - as of Cancellation
        """Return what a waiter shall raise; ``alone`` if there is no other waiter to protect."""
        if alone:
            return self.error
        # The last resort is one instance for all. Its traceback would grow by the frames of each
        # waiter that raises it, so each starts again from the leader's.
        return isolated_copy(self.error) or self.error.with_traceback(self.traceback)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The work was cancelled, or the flight ended before its function was called.

    :ivar reason: for the message of the error that waiters get, if any are left
    :ivar cause: a cancellation that surfaced in the work though nobody here asked for it
    """

    reason: str
    cause: BaseException | None = None

    def to_raise(self, key: object, *, alone: bool) -> Exception:  # noqa: ARG002 - as of Failure
        """Return what a waiter shall raise: never the cancellation itself."""
        error = FlightCancelledError(
            f"the flight for key {key!r} was cancelled: {self.reason}", key
        )
        error.__cause__ = self.cause
        return error


Outcome: TypeAlias = Value[V] | Failure | Cancellation

OWNER_GONE = Cancellation("its owner was cancelled, or left by an error")


def judge(exc: BaseException) -> Failure | Cancellation | None:
    """Return the outcome that an exception in the work makes; None if it is meant for the owner.

    To be called where the exception was caught, in the leader, whose frame is taken off the
    traceback: it tells the reader nothing, and would tie the flight into a cycle with its outcome.
    """
    traceback = cast("TracebackType", exc.__traceback__)
    rest = _without_cancellations(exc.with_traceback(traceback.tb_next))
    if rest is None:
        if current_effective_deadline() == -math.inf:
            return OWNER_GONE  # or abandoned; but then nobody is left to be told
        return Cancellation("a cancellation that was not meant for it surfaced in the work", exc)
    return Failure(rest, rest.__traceback__) if isinstance(rest, Exception) else None


def _without_cancellations(exc: BaseException) -> BaseException | None:
    cancelled = get_cancelled_exc_class()
    if isinstance(exc, cancelled):
        return None
    if isinstance(exc, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", exc).split(cancelled)[1]
    return exc
