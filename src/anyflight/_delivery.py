"""What a waiter gets when the flight that it has waited for has landed."""

from __future__ import annotations

__all__ = ("deliver",)

from collections.abc import Callable
from typing import TypeVar, cast

from ._flight import Flight
from ._outcome import Failing, Missing, Value

V = TypeVar("V")


def deliver(flight: Flight, copy: Callable[[V], V] | None, *, starter: bool, alone: bool) -> V:
    """Return or raise the outcome of ``flight``.

    :param copy: makes the value of a waiter that is not the starter
    :param alone: whether no other waiter can get the same error
    """
    outcome = flight.outcome
    if isinstance(outcome, Value):  # to be copied: else the caller has returned it
        copy = cast("Callable[[V], V]", copy)
        return cast("Value[V]", outcome).to_return(copy, starter=starter, alone=flight.waiters == 1)
    error = cast("Failing | Missing", outcome).to_raise(flight.key, alone=alone)
    context = error.__context__
    try:
        raise error
    finally:
        if context is not None:
            # If the caller is handling an exception, `raise` has put that in its place.
            BaseException.__setattr__(error, "__context__", context)
        # The traceback of the error holds this frame: it must not hold the error in turn.
        del flight, outcome, error, context
