"""What a cache does about invalidations of other processes."""

from __future__ import annotations

__all__ = ("Hearing",)

from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import Any, Final

from anyflight.lease import Lease

from ._first_tier import FirstTier

#: So many names are not worth looking through.
FEW: Final = 1000


class Hearing:
    """Knows keys by their names on the server, and forgets what others have invalidated.

    Invariant: of a key that is in memory, or under way to it, the name is known.

    :param forget: forgets what this process keeps for a key
    :param forget_all: forgets everything
    :param loading: says for which keys loaders are at work, for whomever
    """

    __slots__ = (
        "__weakref__",
        "_core",
        "_first",
        "_forget",
        "_forget_all",
        "_keys",
        "_loading",
        "_most",
    )

    def __init__(
        self,
        lease: Lease[Any],
        first: FirstTier,
        forget: Callable[[Any], None],
        forget_all: Callable[[], None],
        loading: Callable[[], Iterable[Any]],
    ) -> None:
        self._core = lease.core
        self._first = first
        self._forget = forget
        self._forget_all = forget_all
        self._loading = loading
        self._keys: dict[str, Hashable] = {}
        #: How many names there may be before it is worth looking which are needed.
        self._most = FEW

    def open(self) -> None:
        """Be told of invalidations from now on.

        :raises RuntimeError: if the lease is not open here
        """
        self._core.check_open()
        self._core.listeners.add(self)

    def close(self) -> None:
        """Know nothing any more: nothing is kept."""
        self._keys.clear()

    def know(self, key: Hashable) -> None:
        """Note the name of a key, together with a ticket to keep something for it."""
        if self._core.naming.names_are_keys:
            return
        self._keys[self._core.naming.name_of(key)] = key
        if len(self._keys) > self._most:
            entries, held = self._first.memory.entries, self._first.generations
            self._keys = {
                name: each
                for name, each in self._keys.items()
                if each is key or each in entries or held.any(each)
            }
            self._most = 2 * len(self._keys) + FEW

    def invalidated(self, name: str) -> None:
        """Forget a key that another process has invalidated, or this one by way of the lease."""
        if self._core.naming.names_are_keys:
            self._forget(name)
        elif name in self._keys:
            self._forget(self._keys[name])
        else:  # nothing is kept for it; but what is being loaded shall not be joined
            for key in self._loading():
                with suppress(Exception):  # of the encoder: it may be no key of this cache
                    if self._core.naming.name_of(key) == name:
                        self._forget(key)

    def interrupted(self) -> None:
        """Forget everything: who knows what has been invalidated meanwhile."""
        self._forget_all()
