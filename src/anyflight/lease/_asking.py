"""What is asked of a server beside taking part: to read, to invalidate, to store.

If there is no answer, the caller is told, whatever ``on_unreachable`` says: an invalidation that is
not heard is none.
"""

from __future__ import annotations

__all__ = ("Asking",)

from collections.abc import Awaitable, Callable, Hashable
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeVar

from anyio import Semaphore

from anyflight._errors import shortened

from ._errors import LeaseUnavailableError, unavailable
from ._hearing import Listener
from ._naming import Naming
from ._outcomes import Terms
from ._requests import Unreachable
from ._shared import Shared
from ._store import Outcome

T = TypeVar("T")

ALL: Final = "all keys"


class Asking:
    """Asks the server, and tells those here what was invalidated."""

    __slots__ = ("_naming", "_shared")

    def __init__(self, shared: Shared, naming: Naming) -> None:
        self._shared = shared
        self._naming = naming

    @property
    def reachable(self) -> bool:
        """Whether the server has answered lately, or has not been asked yet."""
        return self._shared.requests.reachable

    async def read(self, key: Hashable) -> Outcome | None:
        """Return the outcome that is stored for a key, if there is one.

        :raises LeaseUnavailableError: if the server cannot be asked, or is to be left in peace
        """
        shared = self._shared
        await shared.owner.admit()
        if not shared.requests.take_try():
            raise unavailable(key, None)
        read = partial(shared.store.read, self._naming.name_of(key))
        return await self._ask(shared.requests.beginning, read, key)

    async def tag(self, key: Hashable, tags: frozenset[str], keep: float) -> None:
        """Give a key these tags, for so many seconds; also for a call that takes part already."""
        tag = partial(self._shared.store.tag, self._naming.name_of(key), tags, keep=keep)
        await self._ask_anyway(tag, key)

    async def invalidate(self, key: Hashable) -> None:
        """Do as `Lease.invalidate`; those here are told at the end."""
        await self._shared.owner.admit()
        await self._invalidate(self._naming.name_of(key), key)

    async def invalidate_tagged(self, tag: str) -> None:
        """Do so for all keys that were given this tag."""
        await self._shared.owner.admit()
        tagged = partial(self._shared.store.tagged, tag)
        refusal: LeaseUnavailableError | None = None
        try:
            for name in await self._ask_anyway(tagged, None, f"tag {shortened(tag)}"):
                refusal = await self._try_to_invalidate(name) or refusal
            if refusal is not None:
                raise refusal
        finally:
            del refusal  # whose traceback leads to this frame

    async def invalidate_all(self) -> None:
        """Do so for all keys, also for those of which the server knows nothing."""
        shared = self._shared
        await shared.owner.admit()
        refusal: LeaseUnavailableError | None = None
        try:
            refusal = await self._invalidate_what_is_stored()
            # Whatever was refused: what others have in memory need not be kept for that.
            tell = partial(shared.store.invalidate_all, shared.hearing.origin)
            await self._ask_anyway(tell, None, ALL)
            if refusal is not None:
                raise refusal
        finally:
            del refusal  # whose traceback leads to this frame
            shared.hearing.tell(None)

    async def replace(
        self, key: Hashable, value: Any, terms: Terms, *, keep: float, by: Listener
    ) -> None:
        """Do as `invalidate`, and store a value for all, if it can be shared.

        :param keep: for how many seconds
        :param by: who knows already, and is not told
        """
        shared, name = self._shared, self._naming.name_of(key)
        await shared.owner.admit()
        outcome = shared.outcome_of(key, 0, value, terms)
        if outcome.kind is terms.kind:
            origin = shared.hearing.origin
            request = partial(shared.store.replace, name, origin, outcome, keep=keep)
            await self._void(name, key, request, by)
        else:
            await self._invalidate(name, key, by)

    async def _invalidate_what_is_stored(self) -> LeaseUnavailableError | None:
        refusal = None
        async with aclosing(self._shared.store.keys()) as names:
            while (
                name := await self._ask_anyway(partial(anext, names, None), None, ALL)
            ) is not None:
                refusal = await self._try_to_invalidate(name) or refusal
        return refusal

    async def _try_to_invalidate(self, name: str) -> LeaseUnavailableError | None:
        """Invalidate one of many keys; if the server refuses that, the others follow all the same.

        :raises LeaseUnavailableError: if it could not be asked, nor about the others
        """
        key = name if self._naming.names_are_keys else None
        try:
            await self._invalidate(name, key)
        except LeaseUnavailableError as exc:
            if not self.reachable:
                raise
            return exc
        return None

    async def _invalidate(self, name: str, key: Hashable, by: Listener | None = None) -> None:
        request = partial(self._shared.store.invalidate, name, self._shared.hearing.origin)
        await self._void(name, key, request, by)

    async def _void(
        self, name: str, key: Hashable, request: Callable[[], Awaitable[None]], by: Listener | None
    ) -> None:
        held = self._shared.holdings.of(name).copy()
        try:
            await self._ask_anyway(request, key, f"key {shortened(name)}" if key is None else "")
        finally:
            self._shared.hearing.tell(name, but=by)
        for each in held:
            each.voided = True

    async def _ask_anyway(
        self, request: Callable[[], Awaitable[T]], key: Hashable, about: str = ""
    ) -> T:
        """Return the answer to a request that must not be passed over."""
        return await self._ask(self._shared.requests.ending, request, key, about)

    async def _ask(
        self, turns: Semaphore, request: Callable[[], Awaitable[T]], key: Hashable, about: str = ""
    ) -> T:
        try:
            return await self._shared.requests.ask_in_turn(turns, request)
        except Unreachable as exc:
            raise unavailable(key, exc.__cause__, about) from exc.__cause__
