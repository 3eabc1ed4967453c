"""What the flight table asks of whoever wants to know of its transitions."""

from __future__ import annotations

__all__ = ("Observer",)

from typing import Protocol, TypeVar

F_contra = TypeVar("F_contra", contravariant=True)


class Observer(Protocol[F_contra]):
    """Told of each transition right after it, when the table is whole again."""

    def started(self, flight: F_contra, /) -> None:
        """Take note of a flight that was added."""

    def joined(self, flight: F_contra, /) -> None:
        """Take note of a waiter that was added."""

    def left(self, flight: F_contra, /) -> None:
        """Take note of a waiter that was taken away."""

    def landed(self, flight: F_contra, /) -> None:
        """Take note of a flight that has its outcome; its waiters have not been woken yet."""
