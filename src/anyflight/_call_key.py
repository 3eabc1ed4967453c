"""From a function and the arguments of a call to the key of that call."""

from __future__ import annotations

__all__ = ("CallKey", "key_maker")

from collections.abc import Callable, Iterator
from inspect import Parameter, Signature, getattr_static, isfunction, ismethod, signature
from reprlib import Repr
from types import FunctionType, MethodType
from typing import Any, cast

_VALUES = Repr()
_VALUES.maxstring = _VALUES.maxother = 60  # an argument may be large; a UUID is to be seen whole


class CallKey(tuple[Any, ...]):
    """A coalesced function, and the value of each of its parameters in a call, in their order.

    Hashed and compared as a tuple is, in C, so the values are compared as ``dict`` does.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        name = self[0].__qualname__.rpartition("<locals>.")[2]
        values = (keyword + _VALUES.repr(value) for _, keyword, value in self._arguments())
        return f"{name}({', '.join(values)})"

    def check_hashable(self) -> None:
        """Raise a :exc:`TypeError` that names the first argument that cannot be hashed, if any."""
        for name, _, value in self._arguments():
            try:
                hash(value)
            except TypeError as exc:
                raise TypeError(
                    f"argument {name!r} of {self[0].__qualname__} must be hashable ({exc}), as it "
                    "is part of the key: pass for example a tuple instead of a list, or say with "
                    "coalesced(key=...) what the key is"
                ) from None

    def _arguments(self) -> Iterator[tuple[str, str, object]]:
        """Yield the name of each argument, what stands before its value in a call, the value."""
        parameters = _signature(self[0].__wrapped__).parameters.values()
        for parameter, value in zip(parameters, self[1:], strict=True):
            name = parameter.name
            if parameter.kind is Parameter.VAR_POSITIONAL:
                yield from (("*" + name, "", one) for one in value)
            elif parameter.kind is Parameter.VAR_KEYWORD:
                yield from ((name, f"{name}=", one) for name, one in value)
            else:
                keyword = f"{name}=" if parameter.kind is Parameter.KEYWORD_ONLY else ""
                yield name, keyword, value


class Identity(int):
    """Stands in a key for the instance of which a method was called: this one, not an equal one.

    It does not keep the instance alive, and need not: as long as the key is in a flight table, the
    arguments of the flight do, so that no other object can have got its address. (An instrument
    that keeps keys for longer may see two instances under one address, one after the other.)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<instance at {int(self):#x}>"


def key_maker(function: Any, *, first_by_identity: bool = False) -> Callable[..., CallKey]:
    """Return a function that takes the arguments of a call and returns the key of that call.

    It is generated, so that Python binds the arguments as in a call of the function itself: with
    the same result, the same errors, and in a tenth of the time that `Signature.bind` takes.

    :param function: has the function to call as its ``__wrapped__``; goes into the key
    :param first_by_identity: whether the first argument is an instance, and stands for itself only
    """
    parameters = list(_signature(function.__wrapped__).parameters.values())
    # Longer than the names of all parameters, which therefore cannot hide these.
    prefix = "_" * max((len(each.name) + 1 for each in parameters), default=1)
    values = [_expression(each, prefix) for each in parameters]
    if first_by_identity and parameters:
        values[0] = _first_by_identity(parameters[0], prefix)
    source = f"lambda {_header(parameters)}: {prefix}key(({prefix}function, {', '.join(values)}))"
    names = {"function": function, "key": CallKey, "identity": Identity, "id": id, "sorted": sorted}
    names = {prefix + name: value for name, value in names.items()}
    maker = cast("FunctionType", eval(source, names))  # noqa: S307 - of names that Python has parsed
    maker.__defaults__ = tuple(_defaults(parameters, keyword_only=False).values())
    maker.__kwdefaults__ = _defaults(parameters, keyword_only=True)
    maker.__qualname__ = function.__qualname__  # for the errors about wrong arguments
    return maker


def _header(parameters: list[Parameter]) -> str:
    """Return the parameters as in the source of a function, with None for every default."""
    plain = [
        Parameter(each.name, each.kind)
        if each.default is Parameter.empty
        else Parameter(each.name, each.kind, default=None)
        for each in parameters
    ]
    return str(Signature(plain))[1:-1]


def _defaults(parameters: list[Parameter], *, keyword_only: bool) -> dict[str, Any]:
    return {
        each.name: each.default
        for each in parameters
        if each.default is not Parameter.empty
        and (each.kind is Parameter.KEYWORD_ONLY) == keyword_only
    }


def _expression(parameter: Parameter, prefix: str) -> str:
    if parameter.kind is Parameter.VAR_KEYWORD:
        # In the order of their names, which differ: the values are not compared.
        return f"(*{prefix}sorted({parameter.name}.items()),)"
    return parameter.name


def _first_by_identity(parameter: Parameter, prefix: str) -> str:
    name = parameter.name
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return f"(*({prefix}identity({prefix}id(one)) for one in {name}[:1]), *{name}[1:])"
    return f"{prefix}identity({prefix}id({name}))"


_AS_GIVEN = Signature(
    [Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)]
)


def _signature(func: Callable[..., object]) -> Signature:
    """Return how ``func`` itself takes its arguments.

    Not how a function takes them that it wraps: a decorator in between may add an argument, and
    then different calls would seem equal. Annotations are left out: there is no use for them here,
    and from Python 3.14 on a look at them can fail, for they may name what is not defined.
    """
    call: Any = func
    if not isfunction(func):
        call = getattr_static(type(func), "__call__")
        if isinstance(call, (FunctionType, classmethod, staticmethod)):
            call = cast("Any", call).__get__(func, type(func))
    if isfunction(call):
        return signature(_bare(call))
    if ismethod(call) and isfunction(call.__func__):
        return signature(MethodType(_bare(call.__func__), call.__self__))
    try:
        return signature(func, follow_wrapped=False)
    except (NameError, ValueError):  # of an annotation; of a callable in C that does not tell
        return _AS_GIVEN


def _bare(function: FunctionType) -> FunctionType:
    """Return the function without its annotations, and without what it says that it wraps."""
    bare = FunctionType(function.__code__, {}, None, function.__defaults__, function.__closure__)
    bare.__kwdefaults__ = function.__kwdefaults__
    return bare
