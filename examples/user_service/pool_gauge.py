"""How busy a connection pool is and was."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

__all__ = ("PoolGauge",)


class PoolGauge:
    """Count the connections of a pool that are in use, and sum up for how long.

    The mean utilisation between two moments is the growth of `busy_seconds()` divided by `size`
    times the seconds between them.

    Create it and use it under one event loop, whose clock (`anyio.current_time()`) it goes by.

    Invariant: 0 <= in_use <= size.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        """How many connections the pool can have."""
        self.in_use = 0
        """How many are in use now; only `use()` writes it."""
        self._busy_seconds = 0.0  # up to `_changed_at`
        self._changed_at = anyio.current_time()

    def busy_seconds(self, now: float) -> float:
        """Return the sum of the seconds that each connection has been in use until `now`."""
        return self._busy_seconds + self.in_use * (now - self._changed_at)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Count one connection as in use for the length of the block."""
        self._change(+1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        now = anyio.current_time()
        self._busy_seconds = self.busy_seconds(now)
        self._changed_at = now
        self.in_use += by
