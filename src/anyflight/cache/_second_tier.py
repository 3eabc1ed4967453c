"""The second tier: the store, as far as flights need it. It can fail; calls do not fail with it."""

from __future__ import annotations

__all__ = ("SecondTier",)

from collections.abc import Hashable
from typing import Any, Final

from anyio import move_on_after

from anyflight._errors import shortened
from anyflight._first_warning import FirstWarning

from ._barring import Barring
from ._checks import checked_stored
from ._statistics import Counters
from ._store import CacheStore, StoredValue

#: How many seconds a flight that was cancelled takes at most to delete what it should not have
#: stored.
CLEAN_UP: Final = 5


class SecondTier(Barring):
    """Reads, writes and deletes for flights, and knows when not to read.

    :param label: what to call the cache in messages
    """

    __slots__ = ("_counters", "_label", "_warning", "store")

    def __init__(self, store: CacheStore[Any, Any], label: str, counters: Counters) -> None:
        super().__init__()
        self.store = store
        self._label = label
        self._counters = counters
        self._warning = FirstWarning()

    async def read(self, key: Hashable) -> StoredValue[Any] | None:
        """Return what is stored, if anything, and if the store can say."""
        try:
            stored = await self.store.get(key)
            return None if stored is None else checked_stored(stored)
        except Exception:  # noqa: BLE001 - whatever it is: the value can be had without a store
            self._failed("get", key)
            return None

    async def write(self, key: Hashable, stored: StoredValue[Any], keep: float) -> None:
        """Store a value, if the store can."""
        try:
            await self.store.set(key, stored, keep=keep)
        except Exception:  # noqa: BLE001 - as in `read`
            self._failed("set", key)

    async def delete(self, key: Hashable) -> None:
        """Forget a key, or raise what the store raises; so do the next two."""
        await self.store.delete(key)

    async def delete_tag(self, tag: str) -> None:
        """Forget what has this tag."""
        await self.store.delete_tag(tag)

    async def clear(self) -> None:
        """Forget everything."""
        await self.store.clear()

    async def take_back(self, key: Hashable) -> None:
        """Delete what a flight has stored that was overtaken meanwhile, or may have stored."""
        with move_on_after(CLEAN_UP, shield=True):
            try:
                await self.store.delete(key)
            except Exception:  # noqa: BLE001 - there is nobody who could do anything about it
                self._failed("delete", key)

    def _failed(self, method: str, key: Hashable) -> None:
        """Count an error of the store; warn of the first, for the others will be alike."""
        self._counters.store_errors += 1
        self._warning.give(
            "%s: the store failed in %s of %s, and the cache goes on without it",
            self._label,
            method,
            shortened(key),
            exc_info=True,
        )
