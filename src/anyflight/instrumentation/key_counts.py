"""An instrument that counts by key."""

from __future__ import annotations

__all__ = ("KeyCount", "KeyCounts")

from collections.abc import Hashable
from typing import NamedTuple

from anyflight import CallJoined, FlightStarted, Instrument


class KeyCount(NamedTuple):
    """What happened to one key.

    :ivar key: the key
    :ivar flights: how many flights were started
    :ivar joined: how often a call joined one, or in shadow mode would have: without ``retry_on``
        the number of executions that this saves
    """

    key: Hashable
    flights: int
    joined: int


class KeyCounts(Instrument):
    """Counts flights and joins by key, to show which keys coalescing is for.

    .. code-block:: python

        import anyio
        from anyflight import Coalescer
        from anyflight.instrumentation.key_counts import KeyCounts

        async def main() -> None:
            counts = KeyCounts()
            async with (
                Coalescer[int, None](shadow=True, instruments=[counts]) as users,
                anyio.create_task_group() as tasks,
            ):
                for user_id in (1, 1, 1, 2):
                    tasks.start_soon(users.execute, user_id, anyio.sleep, 0.01)
            assert counts.most_joined(1) == [(1, 1, 2)]

        anyio.run(main)

    It keeps the keys that it counts, unlike the coalescer.

    :param max_keys: how many keys to count; events of further keys add to `other`
    """

    def __init__(self, *, max_keys: int = 10_000) -> None:
        self._max_keys = max_keys
        self._counts: dict[Hashable, list[int]] = {}
        self._other = [0, 0]

    def flight_started(self, event: FlightStarted) -> None:
        """Count a flight."""
        self._of(event.key)[0] += 1

    def call_joined(self, event: CallJoined) -> None:
        """Count a join."""
        self._of(event.key)[1] += 1

    def most_joined(self, count: int | None = None) -> list[KeyCount]:
        """Return the keys that calls joined most, with their counts; without ``count``, all."""
        counts = [KeyCount(key, *numbers) for key, numbers in self._counts.items()]
        return sorted(counts, key=lambda one: one.joined, reverse=True)[:count]

    @property
    def other(self) -> tuple[int, int]:
        """Flights and joins of the keys that were too many to be counted by themselves."""
        flights, joined = self._other
        return flights, joined

    def _of(self, key: Hashable) -> list[int]:
        numbers = self._counts.get(key)
        if numbers is None:
            if len(self._counts) >= self._max_keys:
                return self._other
            numbers = self._counts[key] = [0, 0]
        return numbers
