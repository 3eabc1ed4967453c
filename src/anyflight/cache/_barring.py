"""When what is stored must not be read."""

from __future__ import annotations

__all__ = ("Barring",)

from collections import Counter
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from typing import Final

EVERYTHING: Final = object()


class Barring:
    """Knows for which keys a flight that begins now may not read what is stored."""

    __slots__ = ("_barred",)

    def __init__(self) -> None:
        #: How many there are who want flights of a key not to read the store.
        self._barred: Counter[Hashable] = Counter()

    @contextmanager
    def unread(self, key: Hashable = EVERYTHING) -> Generator[None]:
        """Let no flight that begins within this block read what is stored.

        So say fresh calls while they wait; and writers, until the store has got what they write,
        and has lost again what was overtaken: what a flight reads before that may be from before
        the write.
        """
        self._barred[key] += 1
        try:
            yield
        finally:
            self._barred[key] -= 1
            if not self._barred[key]:
                del self._barred[key]

    def may_be_read(self, key: Hashable) -> bool:
        """Whether a flight for this key that begins now may read what is stored."""
        return not self._barred or (key not in self._barred and EVERYTHING not in self._barred)
