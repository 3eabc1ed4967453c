"""The method of the coalescer that decorates functions."""

from __future__ import annotations

__all__ = ("Decorating",)

from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from ._coalesced_function import CoalescedFunction

if TYPE_CHECKING:
    from ._coalescer import Coalescer

P = ParamSpec("P")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class CoalescingDecorator(Protocol[V]):
    """A decorator for async functions that return a ``V``."""

    def __call__(self, func: Callable[P, Awaitable[V]], /) -> CoalescedFunction[P, V]: ...


class Decorating(Generic[K, V]):
    """Gives :class:`Coalescer`, and nothing else, its method `coalesced`."""

    @overload
    def coalesced(
        self, func: Callable[P, Awaitable[V]], /, *, key: Callable[..., K] | None = None
    ) -> CoalescedFunction[P, V]: ...
    @overload
    def coalesced(
        self, func: None = None, /, *, key: Callable[..., K] | None = None
    ) -> CoalescingDecorator[V]: ...
    def coalesced(
        self,
        func: Callable[..., Awaitable[V]] | None = None,
        /,
        *,
        key: Callable[..., K] | None = None,
    ) -> Any:
        """Let concurrent calls of an async function with equal arguments share one execution.

        .. code-block:: python

            import anyio
            from anyflight import Coalescer

            users = Coalescer[int, str]()

            @users.coalesced
            async def fetch_user(user_id: int, *, active: bool = True) -> str:
                await anyio.sleep(0.01)
                return f"User {user_id}"

            async def main() -> None:
                async with users, anyio.create_task_group() as tasks:
                    tasks.start_soon(fetch_user, 42)
                    assert await fetch_user(user_id=42, active=True) == "User 42"
                assert users.statistics().flights == 1

            anyio.run(main)

        With and without parentheses. The function keeps its signature. Calls of it are calls of
        `execute`, with a key made from the function and all its arguments: how they are passed does
        not matter, nor whether a default is given or left out. They are compared as ``dict``
        compares keys, and must be hashable. No two functions have equal keys.

        Methods can be decorated, below ``@classmethod`` or ``@staticmethod`` if there is one. Calls
        of a method share if they are made on the same instance; an equal one will not do.

        :param key: returns the key, as of `execute`. It is called with the arguments of each call,
            exactly as they are given; of a method's, the instance comes first. Functions of one
            coalescer that have equal keys share a flight
        :raises TypeError: if one can tell that what is decorated returns no awaitable; in a call,
            if an argument is unhashable and there is no ``key``
        """
        if func is None:
            return partial(self.coalesced, key=key)
        return CoalescedFunction(cast("Coalescer[K, V]", self), func, key)
