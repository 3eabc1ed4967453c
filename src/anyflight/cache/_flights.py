"""The flights of a cache: those of its calls, and those that it starts itself."""

from __future__ import annotations

__all__ = ("Flights",)

from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any, TypeVar

from anyio import ClosedResourceError

from anyflight._coalescer import Coalescer
from anyflight._owner import Owner, Phase

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flights(Coalescer[K, V]):
    """A coalescer that can start a flight for nobody."""

    @property
    def owner(self) -> Owner:
        """Knows where calls may come from, and when."""
        return self._owner

    def start(self, key: K, func: Callable[..., Awaitable[V]], *args: Any) -> bool:
        """Start a flight that nobody waits for, unless one for this key is in the air.

        It counts as having one waiter, who never leaves; so it is never abandoned. Calls may join.
        """
        if self._table.current(key) is not None:
            return False
        self._leaders.start(key, (func, args))
        return True

    def detach(self, keys: Iterable[Hashable]) -> None:
        """Let no call join what has begun for these keys."""
        for key in keys:
            flight = self._table.current(key)
            # The function of one that has not begun is called later than now.
            if flight is not None and flight.began is not None:
                self._leaders.detach(flight)

    def keys(self) -> set[Hashable]:
        """Return the keys for which flights are in the air."""
        return {flight.key for flight in self._table}

    def check_open(self) -> None:
        """Raise unless this is the place and the time to use what is open, or about to be closed.

        :raises RuntimeError: if it was never opened, or in another event loop or thread
        :raises anyio.ClosedResourceError: if it is closed
        """
        if self._owner.phase is Phase.NEW:
            raise RuntimeError(f"{self._owner} is not open: use it inside its 'async with' block")
        if self._owner.phase is Phase.CLOSED:
            raise ClosedResourceError(f"{self._owner} cannot be used any more")
        self._owner.check_loop()


# What users have made, and what messages and the names of tasks are to say.
Flights.__name__ = "ReadThroughCache"
