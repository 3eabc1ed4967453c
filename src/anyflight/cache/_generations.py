"""Which results may still be filled: those of work that nothing has overtaken.

Work takes a ticket right before it begins, and fills only if it still holds that at its end. A
ticket is lost to an invalidation of its key, and to the filling of work that began later. Work that
began earlier and ends first may fill: its value is older than what comes, and better than nothing.
Who reads a store takes one too, which is lost to the filling of any work: a value that is stored
may be older than its reading by all its age, so its reader overtakes nobody.

Invariants:

1. A ticket is held from `take` until `give_back`, unless it is lost.
2. The tickets of a key stand in the order in which they were taken.
3. A key without tickets has no place here.
"""

from __future__ import annotations

__all__ = ("Generations", "Ticket")

from collections.abc import Hashable
from typing import TypeAlias

Tags: TypeAlias = frozenset[str]


class Ticket:
    """The right to fill the cache with what work brings."""

    __slots__ = ("key", "tags")

    def __init__(self, key: Hashable, tags: Tags | None) -> None:
        self.key = key
        #: The tags of the value that is to come. None: it is being read from a store, and may have
        #: any.
        self.tags = tags


class Generations:
    """The tickets that are held: of the flights in the air, and of writers."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[Hashable, list[Ticket]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def take(self, key: Hashable, tags: Tags | None) -> Ticket:
        """Return a ticket for work that begins now."""
        ticket = Ticket(key, tags)
        self._held.setdefault(key, []).append(ticket)
        return ticket

    def holds(self, ticket: Ticket) -> bool:
        """Whether nothing has overtaken the work."""
        return ticket in self._held.get(ticket.key, ())

    def overtake(self, ticket: Ticket) -> bool:
        """Let the work fill, if it still may; what began before it then may not any more.

        Nor may what is being read from a store.
        """
        if not self.holds(ticket):
            return False
        held = self._held[ticket.key]
        if len(held) > 1:
            later = held[held.index(ticket) + 1 :]
            held[:] = [ticket, *(each for each in later if each.tags is not None)]
        return True

    def give_back(self, ticket: Ticket) -> bool:
        """End with the work; whether it held its ticket till now."""
        if not self.holds(ticket):
            return False
        held = self._held[ticket.key]
        held.remove(ticket)
        if not held:
            del self._held[ticket.key]
        return True

    def invalidate(self, key: Hashable) -> None:
        """Let nothing that has begun for this key fill."""
        self._held.pop(key, None)

    def tagged(self, tag: str) -> set[Hashable]:
        """Return the keys of work that may bring a value with this tag."""
        return {
            key
            for key, held in self._held.items()
            if any(ticket.tags is None or tag in ticket.tags for ticket in held)
        }

    def clear(self) -> None:
        """Let nothing that has begun fill."""
        self._held.clear()
