"""The decorator that gives a function a coalescer of its own."""

from __future__ import annotations

__all__ = ("CoalescerOptions", "coalesced")

from collections.abc import Awaitable, Callable, Hashable, Iterable
from functools import partial
from typing import Any, Literal, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from anyio import CapacityLimiter

from ._coalesced_function import CoalescedFunction
from ._coalescer import Coalescer
from ._events import Instrument
from .lease import Lease

P = ParamSpec("P")
V = TypeVar("V")


class CoalescerOptions(TypedDict, total=False):
    """The options of :class:`Coalescer`: a test sees to it that none is missing here."""

    name: str
    on_abandon: Literal["cancel", "finish"]
    retry_on: type[Exception] | tuple[type[Exception], ...]
    flight_timeout: float | None
    max_join_age: float | None
    max_waiters: int | None
    limiter: CapacityLimiter | None
    copy: Callable[[Any], Any] | None
    context: Literal["caller", "owner"]
    shadow: bool
    across: Lease[Any] | None
    instruments: Iterable[Instrument]


class CoalescingDecorator(Protocol):
    """A decorator for async functions, whatever they return."""

    def __call__(self, func: Callable[P, Awaitable[V]], /) -> CoalescedFunction[P, V]: ...


@overload
def coalesced(
    func: Callable[P, Awaitable[V]],
    /,
    *,
    key: Callable[..., Hashable] | None = None,
    **options: Unpack[CoalescerOptions],
) -> CoalescedFunction[P, V]: ...
@overload
def coalesced(
    func: None = None,
    /,
    *,
    key: Callable[..., Hashable] | None = None,
    **options: Unpack[CoalescerOptions],
) -> CoalescingDecorator: ...
def coalesced(
    func: Callable[..., Awaitable[Any]] | None = None,
    /,
    *,
    key: Callable[..., Hashable] | None = None,
    **options: Unpack[CoalescerOptions],
) -> Any:
    """Let concurrent calls of an async function with equal arguments share one execution.

    .. code-block:: python

        import anyio
        from anyflight import coalesced

        @coalesced
        async def fetch_user(user_id: int, *, active: bool = True) -> str:
            await anyio.sleep(0.01)
            return f"User {user_id}"

        async def main() -> None:
            async with fetch_user.coalescer, anyio.create_task_group() as tasks:
                tasks.start_soon(fetch_user, 42)
                assert await fetch_user(user_id=42, active=True) == "User 42"
            assert fetch_user.coalescer.statistics().flights == 1

        anyio.run(main)

    The function gets a coalescer of its own, its attribute ``coalescer``. Open that before the
    function is called, once, where the program starts. To let functions share a coalescer, decorate
    them with its method :meth:`Coalescer.coalesced`. What is said there about arguments, methods
    and errors holds here too.

    :param key: returns the key of a call, from its arguments
    :param options: those of :class:`Coalescer`; ``name`` is the qualified name of the function
        unless it is given
    """
    if func is None:
        return partial(coalesced, key=key, **options)
    name = getattr(func, "__qualname__", type(func).__qualname__)
    options = {"name": name, **options}
    return CoalescedFunction(Coalescer[Hashable, Any](**options), func, key)
