"""What the servers have counted, so that a difference says what a run has made of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from demo.schema import ServerCounts, count

if TYPE_CHECKING:
    from servers.valkey import ValkeyServer

OWN = ("client|", "config|", "flushall", "hello", "info")
"""How commands begin that only open a connection, or are the counting's own."""


class Reading(NamedTuple):
    """The counters of both servers at one moment, or what has been added to them."""

    database: ServerCounts
    commands: dict[str, int]
    """Valkey's, by name; those that scripts make are counted like the others."""

    def since(self, earlier: Reading) -> Reading:
        """Return what has been added since an earlier reading."""
        return self._with(earlier, -1)

    def plus(self, other: Reading) -> Reading:
        """Return the sum of two additions."""
        return self._with(other, 1)

    def _with(self, other: Reading, sign: int) -> Reading:
        commands = Counter(self.commands)
        for name, total in other.commands.items():
            commands[name] += sign * total
        return Reading(
            ServerCounts(
                *(a + sign * b for a, b in zip(self.database, other.database, strict=True))
            ),
            {name: total for name, total in commands.items() if total},
        )


def read(dsn: str, valkey: ValkeyServer) -> Reading:
    """Read the counters."""
    commands = valkey.command_counts()
    return Reading(
        count(dsn), {name: total for name, total in commands.items() if not name.startswith(OWN)}
    )
