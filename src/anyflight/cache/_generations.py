"""Which results may still be filled: those of work that nothing has overtaken.

Work takes a ticket right before it begins, and fills only if it still holds that at its end. A
ticket is lost to an invalidation of its key, and to the filling of work that began later. Work that
began earlier and ends first may fill: its value is older than what comes, and better than nothing.
Who reads a store takes one too, which is lost to the filling of any work: a value that is stored
may be older than its reading by all its age, so its reader overtakes nobody.

Work whose ticket was lost to other work is still waited for, and may be joined. So it stays among
the work that an invalidation of its tags is for.

Invariants:

1. A ticket stands here from `take` until `give_back`, unless its key is invalidated.
2. The tickets of a key stand in the order in which their work began.
3. A key without tickets has no place here.
"""

from __future__ import annotations

__all__ = ("Generations", "Ticket")

from collections.abc import Hashable
from typing import TypeAlias

Tags: TypeAlias = frozenset[str]


class Ticket:
    """The right to fill the cache with what work brings."""

    __slots__ = ("began", "key", "overtaken", "tags")

    def __init__(self, key: Hashable, tags: Tags | None, began: float) -> None:
        self.key = key
        #: The time at which the work began.
        self.began = began
        #: The tags of the value that is to come. None: it is being read from a store, and may have
        #: any.
        self.tags = tags
        #: Whether it is lost to other work. Written by `Generations`.
        self.overtaken = False


class Generations:
    """The tickets that there are: of the flights in the air, and of writers."""

    __slots__ = ("_held", "closed")

    def __init__(self) -> None:
        #: Whether what is taken is lost from the start. Written by `FirstTier`.
        self.closed = False
        self._held: dict[Hashable, list[Ticket]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def take(self, key: Hashable, tags: Tags | None, now: float) -> Ticket:
        """Return a ticket for work that begins now."""
        ticket = Ticket(key, tags, now)
        if not self.closed:
            self._held.setdefault(key, []).append(ticket)
        return ticket

    def take_late(self, key: Hashable, tags: Tags | None, began: float) -> Ticket:
        """Return a ticket for work that began a while ago, and is joined now."""
        ticket = Ticket(key, tags, began)
        if self.closed:
            return ticket
        held = self._held.setdefault(key, [])
        later = (place for place, each in enumerate(held) if each.began >= began)
        held.insert(next(later, len(held)), ticket)
        return ticket

    def holds(self, ticket: Ticket) -> bool:
        """Whether nothing has overtaken the work."""
        return not ticket.overtaken and ticket in self._held.get(ticket.key, ())

    def overtake(self, ticket: Ticket) -> bool:
        """Let the work fill, if it still may; what began before it then may not any more.

        Nor may what is being read from a store.
        """
        if not self.holds(ticket):
            return False
        held = self._held[ticket.key]
        place = held.index(ticket)
        for other, each in enumerate(held):
            if other < place or (each.tags is None and each is not ticket):
                each.overtaken = True
        return True

    def give_back(self, ticket: Ticket) -> bool:
        """End with the work; whether it held its ticket till now."""
        held = self._held.get(ticket.key)
        if held is None or ticket not in held:
            return False
        held.remove(ticket)
        if not held:
            del self._held[ticket.key]
        return not ticket.overtaken

    def any(self, key: Hashable) -> bool:
        """Whether there is a ticket for this key."""
        return key in self._held

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
