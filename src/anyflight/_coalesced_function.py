"""A function, or a method, whose concurrent calls with equal arguments share one execution."""

from __future__ import annotations

__all__ = ("CoalescedFunction",)

from collections.abc import Awaitable, Callable, Coroutine, Hashable
from functools import partial, update_wrapper
from types import CodeType, MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    cast,
    overload,
)

from ._call_key import CallKey, key_maker
from ._checks import check_decorated, check_key_function

if TYPE_CHECKING:
    from ._coalescer import Coalescer

P = ParamSpec("P")
Rest = ParamSpec("Rest")
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class CoalescedFunction(Generic[P, V]):
    """An async function whose concurrent calls for the same key share one execution.

    The decorators :func:`coalesced` and :meth:`Coalescer.coalesced` make it. It is called, bound to
    instances, inspected and pickled as the function is that it was made from. A call does what
    :meth:`Coalescer.execute` does: see there what it raises, and what cancelling it means.

    :ivar coalescer: the coalescer through which the calls go
    :ivar __wrapped__: the function, to call it without coalescing
    """

    # `inspect.iscoroutinefunction` believes what looks like a function. Python 3.12 has a mark for
    # this; but web frameworks have to see it on 3.11 too, or they would call this in a thread.
    __defaults__ = None
    __kwdefaults__ = None

    def __init__(
        self,
        coalescer: Coalescer[Any, V],
        func: Callable[P, Awaitable[V]],
        key: Callable[..., Hashable] | None = None,
        *,
        method: bool = False,
    ) -> None:
        check_decorated(func)
        if key is not None:
            check_key_function(key)
        # What a callable object has not:
        self.__name__: str = type(func).__name__
        self.__qualname__: str = type(func).__qualname__
        # First, because it copies attributes, among which those below can be.
        update_wrapper(self, func)
        self.coalescer = coalescer
        self.__wrapped__ = func
        self._key = key
        self._key_of = key_maker(self, first_by_identity=method) if key is None else key
        # What a class gives in place of this, made when it is first asked for it.
        self._method: CoalescedFunction[P, V] | None = self if method else None

    def __repr__(self) -> str:
        return f"<coalesced function {self.__qualname__}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickle and copy it as a function: by name."""
        return self.__qualname__

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> V:
        """Return the value of the function, run once for all concurrent calls with this key."""
        return await self._execute(args, kwargs)

    async def fresh(self, /, *args: P.args, **kwargs: P.kwargs) -> V:
        """Make a call that joins only a flight whose function has not been called yet.

        So its result is none from before this call. See ``fresh`` of :meth:`Coalescer.execute`. For
        a class method, the class is the first argument here.
        """
        return await self._execute(args, kwargs, fresh=True)

    @property
    def __code__(self) -> CodeType:
        return type(self).__call__.__code__

    def forget(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Detach the flight of this call, so that the next such call starts a new one at once.

        See :meth:`Coalescer.forget`. For a class method, the class is the first argument here.

        :return: True if there was a flight to detach
        """
        return self.coalescer.forget(self._key_for(args, kwargs))

    @overload
    def __get__(
        self: _TakesFirst[type[S], Rest, V], instance: S | None, owner: type[S], /
    ) -> CoalescedClassMethod[S, Rest, V]: ...
    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Self: ...
    @overload
    def __get__(
        self: _TakesFirst[S, Rest, V], instance: S, owner: type[S] | None = None, /
    ) -> CoalescedFunction[Rest, V]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None, /) -> Self: ...
    def __get__(self, instance: object, owner: type[Any] | None = None, /) -> Any:
        """Bind it to an instance, as Python binds a function.

        The first two overloads speak of access through the class; the last one is for type checkers
        that ask it for a static method.
        """
        if instance is owner:
            # So `classmethod` asks up to Python 3.12. Later it does itself what is done here.
            return MethodType(self, instance)
        method = self._method
        if method is None:
            method = CoalescedFunction(self.coalescer, self.__wrapped__, self._key, method=True)
            self._method = method
        return method if instance is None else _BoundFunction(method, instance)

    def _execute(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, fresh: bool = False
    ) -> Coroutine[Any, Any, V]:
        key = self._key_for(args, kwargs)
        func = cast("Callable[..., Awaitable[V]]", self.__wrapped__)
        if kwargs:
            func = partial(func, **kwargs)
        return self.coalescer.execute(key, func, *args, fresh=fresh)

    def _key_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        key = self._key_of(*args, **kwargs)
        if isinstance(key, CallKey):
            try:
                hash(key)
            except TypeError:
                key.check_hashable()
                raise
        return key


class _BoundFunction(CoalescedFunction[P, V]):
    """A coalesced method of one instance; what `types.MethodType` is to a function.

    :param function: takes the instance as its first argument
    :param instance: that instance
    """

    def __init__(self, function: CoalescedFunction[..., V], instance: object) -> None:
        # Not `super().__init__`: what that sets is read from the function, by `__getattr__`, except
        # for what would be found in this class.
        self.__func__ = function
        self.__self__ = instance
        self.__wrapped__ = MethodType(function.__wrapped__, instance)
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        # Python makes an empty dictionary of that name in a class when somebody asks for it.
        self.__annotations__ = getattr(function.__wrapped__, "__annotations__", {})

    # Type checkers would believe in any attribute, and that it can be bound once more.
    if not TYPE_CHECKING:  # pragma: no branch - there is no other while it runs

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__func__, name)

        def __get__(self, instance: object, owner: type[Any] | None = None, /) -> Self:
            return self

    def __repr__(self) -> str:
        return f"<coalesced method {self.__qualname__} of {self.__self__!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.__name__)

    def __eq__(self, other: object) -> bool:
        """Compare as bound methods are: each access makes a new one, equal to the others."""
        if not isinstance(other, _BoundFunction):
            return NotImplemented
        other = cast("_BoundFunction[..., Any]", other)
        return self.__self__ is other.__self__ and self.__func__ is other.__func__

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.__func__))

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> V:
        return await self.__func__._execute((self.__self__, *args), kwargs)  # noqa: SLF001 - of its own class

    async def fresh(self, /, *args: P.args, **kwargs: P.kwargs) -> V:
        return await self.__func__.fresh(self.__self__, *args, **kwargs)

    def forget(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        return self.__func__.forget(self.__self__, *args, **kwargs)


class _TakesFirst(Protocol[S_contra, Rest, V_co]):
    """What takes a first argument, the instance or the class, before the rest."""

    def __call__(
        self, first: S_contra, /, *args: Rest.args, **kwargs: Rest.kwargs
    ) -> Awaitable[V_co]: ...


class CoalescedClassMethod(Protocol[S_contra, Rest, V]):
    """What type checkers know of a coalesced function below ``@classmethod``."""

    @property
    def coalescer(self) -> Coalescer[Any, V]:
        """The coalescer through which the calls go."""
        ...

    async def __call__(self, *args: Rest.args, **kwargs: Rest.kwargs) -> V:
        """Return the value of the class method."""
        ...

    async def fresh(self, owner: type[S_contra], /, *args: Rest.args, **kwargs: Rest.kwargs) -> V:
        """Call this method of ``owner``, and join no flight that has begun."""
        ...

    def forget(self, owner: type[S_contra], /, *args: Rest.args, **kwargs: Rest.kwargs) -> bool:
        """Detach the flight of the call of this method of ``owner``."""
        ...
