"""Every exception that anyflight defines, with who raises it and when.

Two more come from elsewhere: :exc:`anyio.ClosedResourceError` for a call on a coalescer that is
closing or closed, and :exc:`TimeoutError` for a call whose own ``timeout`` is over.
"""

from __future__ import annotations

__all__ = ("CoalescerError", "FlightCancelledError")


class CoalescerError(Exception):
    """Base class of what anyflight itself has to say about a flight.

    :ivar key: the key of the flight
    """

    def __init__(self, message: str, key: object) -> None:
        # Both go into `args`, so that pickling and copying need no code here.
        super().__init__(message, key)
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
