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
        codec, kind = StoredCodec(core.terms.codec), OutcomeKind.STORED
        self._terms = replace(core.terms, codec=codec, wanted=True, kind=kind)

    async def read(self, key: Hashable) -> Stored | None:
        """Return what is stored; None if the server cannot be asked."""
        try:
            outcome = await self._core.asking.read(key)
        except LeaseUnavailableError:
            return None
        if outcome is None:
            return Stored(0, None)
        if outcome.kind is not OutcomeKind.STORED:
            return Stored(outcome.epoch, None)
        try:
            value = self._terms.codec.decode(outcome.body)
        except Exception:  # noqa: BLE001 - of the codec: the value is loaded, and stored anew
            return Stored(outcome.epoch, None)
        return Stored(outcome.epoch, _aged(value, outcome.age))

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
        return fetched._replace(value=_aged(fetched.value, fetched.age))

    async def store(
        self, key: Hashable, stored: StoredValue[Any], keep: float, by: Listener
    ) -> None:
        """Store a value in place of what there is, or under way, for a key, in all processes.

        :param by: who keeps it in memory, and so is not told of an invalidation
        """
        asking = self._core.asking
        await self._core.owner.admit()
        if stored.tags:
            await asking.tag(key, stored.tags, keep + ALLOWANCE)
        await asking.replace(key, stored, self._terms, keep=keep, by=by)

    async def tag(self, key: Hashable, tags: frozenset[str], keep: float) -> bool:
        """Let `delete_tag` find the key from now on, in whatever process; whether it does.

        :param keep: for how many seconds at least, and the `ALLOWANCE`
        """
        asking = self._core.asking
        if not asking.reachable:
            return False
        try:
            await asking.tag(key, tags, keep + ALLOWANCE)
        except LeaseUnavailableError:
            return False
        return True

    async def delete(self, key: Hashable) -> None:
        """Void what is stored, or under way, for a key, in all processes."""
        await self._core.asking.invalidate(key)

    async def delete_tag(self, tag: str) -> None:
        """Do so for all keys with this tag."""
        await self._core.asking.invalidate_tagged(tag)

    async def clear(self) -> None:
        """Do so for all keys."""
        await self._core.asking.invalidate_all()


def _aged(value: StoredValue[Any], age: float) -> StoredValue[Any]:
    """Return the value, of this age: not below zero, for a server's clock may go back."""
    return replace(value, age=max(age, 0.0))
