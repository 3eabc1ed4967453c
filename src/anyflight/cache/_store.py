"""The second tier of a cache: what it asks of a store, and what it keeps there."""

# Annotations are evaluated here, for the reason that `anyflight._events` gives.

__all__ = ("CacheStore", "StoredValue")

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)
V = TypeVar("V")


@dataclass(frozen=True, kw_only=True)  # with slots, Python 3.11 cannot make a StoredValue[int](...)
class StoredValue(Generic[V]):
    """A value with what a cache has to know of it.

    All times are durations in seconds, since no two processes have a clock in common.

    :ivar value: the value
    :ivar ttl: for how long after its filling it is fresh
    :ivar age: how long ago it was filled. What a cache gives to a store is of the age zero; a store
        must say how old it has become
    :ivar cost: how long its work took, 0.0 if nobody knows
    :ivar tags: what `delete_tag` finds it by
    """

    value: V
    ttl: float
    age: float = 0.0
    cost: float = 0.0
    tags: frozenset[str] = frozenset()


class CacheStore(Protocol[K_contra, V]):
    """Where a :class:`ReadThroughCache` keeps values beside its own memory.

    It is asked by the tasks that run the work of flights, so once for all the calls that share one.
    Of a key there may be several at a time: each ``get_many`` asks for its own keys, and writers
    come as they like. What it raises while a value is looked for costs no call its value: it is
    counted, and the value is loaded. So it is if what it returns cannot be used. It should bound
    the time that it takes, for a flight waits for it. Only values are stored, never errors.
    """

    async def get(self, key: K_contra, /) -> StoredValue[V] | None:
        """Return what is stored, with its age, or None."""

    async def set(self, key: K_contra, stored: StoredValue[V], /, *, keep: float) -> None:
        """Store a value in place of what there was.

        :param keep: after so many seconds nobody has a use for it; may be infinite
        """

    async def delete(self, key: K_contra, /) -> None:
        """Forget what is stored for a key, if anything."""

    async def delete_tag(self, tag: str, /) -> None:
        """Forget everything that was stored with this tag."""

    async def clear(self) -> None:
        """Forget everything."""
