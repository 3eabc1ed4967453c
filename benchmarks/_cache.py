"""The door behind which each cache stands: ours, and those that a user could take instead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

TAG = "tag"
"""What keys have that begin with "t", where there are tags."""
FOR_EVER = 10**6


class LacksError(Exception):
    """Raised in place of what a cache has no way to do."""


class KeptError(Exception):
    """The error that may be kept, where errors are."""


class Source(Protocol):
    """Where values come from."""

    async def load(self, key: str) -> Any:
        """Load one."""

    async def load_batch(self, keys: Sequence[str]) -> dict[str, Any]:
        """Load many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a cache is asked to do; all times are seconds.

    :ivar ttl: for how long values are fresh
    :ivar jitter: by which part of itself that may be shorter
    :ivar stale_while_revalidate: for how long a value is then served while the next is fetched
    :ivar stale_if_error: for how long it is then served in place of an error
    :ivar early: whether a value that is in demand is fetched before the old one expires
    :ivar keeps_errors: whether :exc:`KeptError` is kept like a value
    :ivar max_entries: how many values there may be
    :ivar tags: whether some keys have a tag
    """

    ttl: int = FOR_EVER
    jitter: float = 0
    stale_while_revalidate: int = 0
    stale_if_error: int = 0
    early: bool = False
    keeps_errors: bool = False
    max_entries: int = 10**6
    tags: bool = False


class Cache:
    """A cache in front of a source. What it cannot do is left out, and so as it is here.

    It is open within ``async with``; most need no opening.

    :ivar get: returns the value of a key
    """

    get: Callable[[str], Awaitable[Any]]

    async def invalidate(self, key: str) -> None:
        """Forget the value of a key."""
        raise LacksError(key)

    async def invalidate_tag(self) -> None:
        """Forget the values of all keys that have the tag."""
        raise LacksError

    def peek(self, key: str) -> Any:
        """Return what is there, without waiting; None if nothing is."""
        raise LacksError(key)

    def get_many(self, keys: Sequence[str]) -> Awaitable[Collection[Any]]:
        """Return the values of many keys."""
        raise LacksError(keys)

    async def rest(self) -> int:
        """Wait until its threads, if it has some, wait too; return how often they have changed."""
        return 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        pass
