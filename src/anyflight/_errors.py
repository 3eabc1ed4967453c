"""Every exception that anyflight defines, with who raises it and when.

Two more come from elsewhere: :exc:`anyio.ClosedResourceError` for a call on a coalescer that is
closing or closed, and :exc:`TimeoutError` for a call whose own ``timeout`` is over.
"""

from __future__ import annotations

__all__ = (
    "CoalescerError",
    "DeadlockError",
    "FlightCancelledError",
    "FlightTimeoutError",
    "MissingKeyError",
    "TooManyWaitersError",
    "shortened",
)

import reprlib
from collections.abc import Hashable


def shortened(key: object) -> str:
    """Return what a message shows of a key, whatever its class makes of ``repr``."""
    try:
        return reprlib.repr(key)
    except Exception:  # noqa: BLE001 - of the key's class, or as of an integer of 5,000 digits
        return object.__repr__(key)


class CoalescerError(Exception):
    """Base class of what anyflight itself has to say about a flight.

    :ivar key: the key of the flight
    """

    def __init__(self, message: str, key: Hashable) -> None:
        super().__init__(message)  # alone: a TimeoutError would take two for those of an OSError
        # Both are in `args`, so that pickling and copying need no code here.
        self.args: tuple[object, ...] = (message, key)
        self.key = key

    def __str__(self) -> str:
        """Return the message alone; the key is part of it where that helps."""
        return str(self.args[0])


class FlightCancelledError(CoalescerError):
    """Raised in every waiter of a flight that was cancelled, but not by its waiters leaving.

    It happens when the owner was cancelled or left by an error, or when a cancellation that was
    meant for something else surfaced in the work; that one, if any, is the ``__cause__``. The call
    itself was not cancelled, therefore this is an ordinary :class:`Exception`: it can be caught,
    and the call can be made again.
    """


class FlightTimeoutError(CoalescerError, TimeoutError):
    """Raised in every waiter of a flight that took longer than the coalescer's ``flight_timeout``.

    The work has been cancelled, and the key is free: a call made now starts a new flight, even if
    the work ignores its cancellation. A call whose own ``timeout`` is over gets a plain
    :exc:`TimeoutError` instead, and its flight goes on.
    """


class TooManyWaitersError(CoalescerError):
    """Raised in a call that found ``max_waiters`` calls waiting for the flight it would join."""


class DeadlockError(CoalescerError, RuntimeError):
    """Raised in a call that would make a flight wait for itself, directly or through others.

    The call is the one that would have closed the circle, and it has not waited. Only that call
    fails: the flights of the circle go on, as far as the work that made the call lets them.

    :ivar key: the key of the flight that the call would have waited for; that of the flight whose
        work made the call is ``chain[0]``
    :ivar chain: the keys of the circle: each flight waits for the next, and the last key is the
        first again. A flight that waits for a token of the ``limiter`` waits for a holder of one
    """

    def __init__(self, message: str, key: Hashable, chain: tuple[Hashable, ...]) -> None:
        super().__init__(message, key)
        self.args: tuple[object, ...] = (message, key, chain)
        self.chain = chain


class MissingKeyError(CoalescerError, KeyError):
    """Raised by ``BatchLoader.load`` if the batch function returned nothing for the key."""
