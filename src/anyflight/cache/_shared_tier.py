"""The second tier of a cache whose flights go through a lease: the outcomes of its epochs.

A value that was loaded is stored by the commit of the lease under which that was done. So what an
invalidation has overtaken, in whatever process, is refused by the server, in one step.
"""

from __future__ import annotations

__all__ = ("SharedTier", "Stored")

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import replace
from typing import Any, Final, NamedTuple

from anyflight.lease import Lease, LeaseUnavailableError, OutcomeKind
from anyflight.lease._hearing import Listener
from anyflight.lease._shared import Fetched

from ._barring import Barring
from ._store import StoredValue
from ._stored_codec import StoredCodec

#: How many seconds longer than anything is kept a tag leads to its key: so long may work take, and
#: the way to the server, before the tag has to be renewed.
ALLOWANCE: Final = 60


class Stored(NamedTuple):
    """What is stored for a key: an epoch, 0 if nothing is, and its value if that can be had."""

    epoch: int
    value: StoredValue[Any] | None


class SharedTier(Barring):
    """What a cache asks of a lease."""

    __slots__ = ("_core", "_terms")

    def __init__(self, lease: Lease[Any]) -> None:
        super().__init__()
        core = self._core = lease.core
        self._terms = replace(core.terms, codec=StoredCodec(core.terms.codec), wanted=True)

    async def read(self, key: Hashable) -> Stored | None:
        """Return what is stored; None if the server cannot be asked."""
        try:
            outcome = await self._core.read(key)
        except LeaseUnavailableError:
            return None
        if outcome is None:
            return Stored(0, None)
        if outcome.kind is not OutcomeKind.VALUE:
            return Stored(outcome.epoch, None)
        try:
            value = self._terms.codec.decode(outcome.body)
        except Exception:  # noqa: BLE001 - of the codec: the value is loaded, and stored anew
            return Stored(outcome.epoch, None)
        return Stored(outcome.epoch, replace(value, age=outcome.age))

    async def load(
        self,
        key: Hashable,
        work: Callable[[], Awaitable[StoredValue[Any]]],
        keep: Callable[[StoredValue[Any]], float],
        *,
        since: int,
        fresh: bool,
    ) -> Fetched:
        """Return what the work returns, here or in another process; see `Core.take_part`.

        :param keep: says for how many seconds a value is to be stored
        """
        terms = replace(self._terms, keep=keep)
        fetched = await self._core.take_part(key, work, terms, since=since, fresh=fresh)
        if fetched.age is None:
            return fetched
        return fetched._replace(value=replace(fetched.value, age=fetched.age))

    async def store(
        self, key: Hashable, stored: StoredValue[Any], keep: float, by: Listener
    ) -> None:
        """Store a value in place of what there is, or under way, for a key, in all processes.

        :param by: who keeps it in memory, and so is not told of an invalidation
        """
        core = self._core
        if stored.tags:
            tagging = core.store.tag(core.name_of(key), stored.tags, keep=keep + ALLOWANCE)
            await core.ask(tagging, key)
        await core.replace(key, stored, self._terms, keep=keep, by=by)

    async def tag(self, key: Hashable, tags: frozenset[str], keep: float) -> bool:
        """Let `delete_tag` find the key from now on, in whatever process; whether it does.

        :param keep: for how many seconds at least, and the `ALLOWANCE`
        """
        core = self._core
        if not core.reachable:
            return False
        tagging = core.store.tag(core.name_of(key), tags, keep=keep + ALLOWANCE)
        try:
            await core.ask(tagging, key)
        except LeaseUnavailableError:
            return False
        return True

    async def delete(self, key: Hashable) -> None:
        """Void what is stored, or under way, for a key, in all processes."""
        await self._core.invalidate(key)

    async def delete_tag(self, tag: str) -> None:
        """Do so for all keys with this tag."""
        core = self._core
        await core.invalidate_names(await core.ask(core.store.tagged(tag), tag))

    async def clear(self) -> None:
        """Do so for all keys."""
        await self._core.invalidate_all()
