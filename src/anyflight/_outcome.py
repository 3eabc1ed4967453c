"""How a flight ends: with a value, with an error, by cancellation, or at its deadline."""

from __future__ import annotations

__all__ = (
    "OWNER_GONE",
    "Cancellation",
    "Expiry",
    "Failing",
    "Failure",
    "Missing",
    "Outcome",
    "Value",
    "judge",
    "outcomes_of",
)

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast, final

from anyio import current_effective_deadline, get_cancelled_exc_class

from ._errors import FlightCancelledError, FlightTimeoutError, MissingKeyError, shortened
from ._events import FlightOutcome
from ._isolation import copied_or_shared, isolated_copy

V = TypeVar("V")


@final
class Value(Generic[V]):
    """The work returned.

    :ivar value: what it returned; if values are copied, perhaps a copy, see `to_return`
    """

    __slots__ = ("value",)
    kind: ClassVar = FlightOutcome.SUCCEEDED

    def __init__(self, value: V) -> None:
        self.value = value

    def to_return(self, copy: Callable[[V], V], *, starter: bool, alone: bool) -> V:
        """Return what a waiter shall get: a copy, or the original if it is the starter."""
        value = self.value
        if not starter:
            return copy(value)
        if not alone:
            # It may change what it gets before the others wake: they are to copy from a copy. If
            # that cannot be made, theirs fail too, each in its waiter.
            with suppress(Exception):
                self.value = copy(value)
        return value


@final
class Failure:
    """The work raised an :class:`Exception`.

    The error here is never handed out while a copy can be: it is what the copies are made from, so
    it must stay as it was at the landing.
    """

    __slots__ = ("_cause", "_context", "_suppress_context", "_traceback", "error")
    kind: ClassVar = FlightOutcome.FAILED

    def __init__(self, error: Exception) -> None:
        self.error = error
        self._cause = error.__cause__
        self._context = error.__context__
        self._suppress_context = error.__suppress_context__
        self._traceback = error.__traceback__

    def matches(self, types: type[Exception] | tuple[type[Exception], ...]) -> bool:
        """Whether waiters get an error of one of these classes."""
        return isinstance(self.error, types)

    def to_raise(self, key: Hashable, *, alone: bool) -> Exception:  # noqa: ARG002 - as of Cancellation
        """Return what a waiter shall raise; ``alone`` if there is no other waiter to protect."""
        if alone:
            return self.error
        copy = isolated_copy(self.error)
        return self._restored() if copy is None else copy

    def _restored(self) -> Exception:
        """Return the one instance, the last resort, as it was before another waiter raised it.

        Else its traceback would grow by the frames of each, and its context could be another's.
        """
        assign = partial(BaseException.__setattr__, self.error)
        assign("__cause__", self._cause)
        assign("__context__", self._context)
        assign("__suppress_context__", self._suppress_context)
        assign("__traceback__", self._traceback)
        return self.error


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The work was cancelled, or the flight ended before its function was called.

    :ivar reason: for the message of the error that waiters get, if any are left
    :ivar cause: a cancellation that surfaced in the work though nobody here asked for it
    """

    kind: ClassVar = FlightOutcome.CANCELLED

    reason: str
    cause: BaseException | None = None

    def matches(self, types: type[Exception] | tuple[type[Exception], ...]) -> bool:
        """Whether waiters get an error of one of these classes."""
        return issubclass(FlightCancelledError, types)

    def to_raise(self, key: Hashable, *, alone: bool) -> Exception:  # noqa: ARG002 - as of Failure
        """Return what a waiter shall raise: never the cancellation itself."""
        message = f"the flight for key {shortened(key)} was cancelled: {self.reason}"
        error = FlightCancelledError(message, key)
        error.__cause__ = None if self.cause is None else copied_or_shared(self.cause)
        return error


@dataclass(frozen=True, slots=True)
class Expiry:
    """The flight took too long.

    :ivar timeout: how many seconds it had
    :ivar began: whether its function was called at all
    """

    kind: ClassVar = FlightOutcome.TIMED_OUT

    timeout: float
    began: bool

    def matches(self, types: type[Exception] | tuple[type[Exception], ...]) -> bool:
        """Whether waiters get an error of one of these classes."""
        return issubclass(FlightTimeoutError, types)

    def to_raise(self, key: Hashable, *, alone: bool) -> Exception:  # noqa: ARG002 - as of Failure
        """Return what a waiter shall raise."""
        where = "" if self.began else ", all of them waiting for a token of the limiter"
        message = f"the flight for key {shortened(key)} took {self.timeout} seconds{where}"
        return FlightTimeoutError(message, key)


@final
class Missing:
    """The work was done, and had nothing for this key."""

    __slots__ = ()
    kind: ClassVar = FlightOutcome.FAILED

    def to_raise(self, key: Hashable, *, alone: bool) -> Exception:  # noqa: ARG002 - as of Failure
        """Return what a waiter shall raise."""
        return MissingKeyError(f"there is no value for key {shortened(key)}", key)


#: How a flight ends whose work has not been done.
Failing: TypeAlias = Failure | Cancellation | Expiry
Outcome: TypeAlias = Value[V] | Failing | Missing

OWNER_GONE = Cancellation("its owner was cancelled, or left by an error")

#: In place of the value of a key that a batch function returned nothing for.
MISSING = object()


def outcomes_of(values: Mapping[Hashable, Any], keys: Iterable[Hashable]) -> list[Outcome[Any]]:
    """Return the outcome of each key, of which a batch function returned ``values``."""
    get = values.get
    return [
        # By its type: what is a proxy may answer `isinstance` with an error, or an untruth.
        _no_value(value)
        if value is MISSING or issubclass(type(value), BaseException)
        else Value(value)
        for value in (get(key, MISSING) for key in keys)
    ]


def _no_value(result: Any) -> Outcome[Any]:
    """Return the outcome of a key for which an exception was returned, or nothing."""
    if result is MISSING:
        return Missing()
    if isinstance(result, Exception):
        return Failure(result)
    kind = type(result).__qualname__
    error = TypeError(f"the batch function returned a {kind} for a key, which is no Exception")
    error.__cause__ = result
    return Failure(error)


def judge(exc: BaseException) -> Failure | Cancellation | None:
    """Return the outcome that an exception in the work makes; None if it is meant for the owner.

    To be called where the exception was caught, in the leader, whose frame is taken off the
    traceback: it tells the reader nothing, and would tie the flight into a cycle with its outcome.
    """
    try:
        return _judge(exc)
    except Exception as error:  # noqa: BLE001 - of the exception's class: it becomes the outcome
        return Failure(error)


def _judge(exc: BaseException) -> Failure | Cancellation | None:
    traceback = cast("TracebackType", exc.__traceback__)
    BaseException.with_traceback(exc, traceback.tb_next)
    rest = _without_cancellations(exc)
    if rest is None:
        if current_effective_deadline() == -math.inf:
            return OWNER_GONE  # or abandoned; but then nobody is left to be told
        return Cancellation("a cancellation that was not meant for it surfaced in the work", exc)
    return Failure(rest) if isinstance(rest, Exception) else None


def _without_cancellations(exc: BaseException) -> BaseException | None:
    cancelled = get_cancelled_exc_class()
    if isinstance(exc, cancelled):
        return None
    if isinstance(exc, BaseExceptionGroup):
        return _without_members(cast("BaseExceptionGroup[BaseException]", exc), cancelled)
    return exc


def _without_members(
    group: BaseExceptionGroup[BaseException], unwanted: type[BaseException]
) -> BaseException | None:
    # Split only if there is a need: it makes new groups, of the class that `derive` chooses.
    if group.subgroup(unwanted) is None:
        return group
    return group.split(unwanted)[1]
