"""Checks of what a user passes in: each says what was given and what to do instead."""

from __future__ import annotations

__all__ = (
    "check_callable",
    "check_choice",
    "check_count",
    "check_decorated",
    "check_delay",
    "check_duration",
    "check_exceptions",
    "check_hashable",
    "check_instance",
    "check_key_function",
    "check_timeout",
    "checked_keys",
    "checked_number",
    "has_utf8",
    "not_awaitable",
    "not_mapping",
)

import math
from collections.abc import Hashable, Iterable
from functools import partial
from inspect import (
    CO_ITERABLE_COROUTINE,
    isasyncgenfunction,
    iscoroutine,
    iscoroutinefunction,
    isgeneratorfunction,
)
from typing import Any, TypeVar, cast

K = TypeVar("K", bound=Hashable)


def check_callable(func: object, argument: str) -> None:
    """Raise a :exc:`TypeError` unless ``func`` can be called."""
    if callable(func):
        return
    hint = ""
    if iscoroutine(func):
        func.close()  # or Python would warn, later and elsewhere, that it was never awaited
        hint = ": pass the function itself, f and not f()"
        if argument == "func":
            hint = ": write execute(key, f, x), not execute(key, f(x))"
    raise TypeError(f"{argument} must be callable, not {_kind(func)}{hint}")


def check_choice(value: object, argument: str, choices: tuple[str, ...]) -> None:
    """Raise a :exc:`ValueError` unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{argument} must be {' or '.join(map(repr, choices))}, not {value!r}")


def check_decorated(func: object) -> None:
    """Raise a :exc:`TypeError` if one can tell that ``func`` returns no awaitable."""
    if isinstance(func, (classmethod, staticmethod)):
        kind = type(cast("object", func)).__name__
        raise TypeError(f"write @{kind} above the decorator that coalesces, not below it")
    if iscoroutine(func):
        func.close()  # as in `check_callable`
        raise TypeError("decorate the async function itself, not what a call of it returns")
    check_callable(func, "what is decorated")
    if isasyncgenfunction(func):
        raise TypeError(
            f"{_name(func)} is an async generator function, whose values cannot be shared: "
            "decorate an async function that returns them all, in a list for example"
        )
    if isgeneratorfunction(func) and not _makes_coroutines(func):
        raise TypeError(f"{_name(func)} is a generator function: decorate an async function")


def _makes_coroutines(generator_function: Any) -> bool:
    """Whether `types.coroutine` has been applied to it."""
    while isinstance(generator_function, partial):
        generator_function = cast("partial[object]", generator_function).func
    return bool(generator_function.__code__.co_flags & CO_ITERABLE_COROUTINE)


def check_key_function(key: object) -> None:
    """Raise a :exc:`TypeError` unless ``key`` can be called, and is no async function."""
    check_callable(key, "key")
    if iscoroutinefunction(key):
        raise TypeError(f"key must be a plain function, but {_name(key)} is an async one")


def check_hashable(key: Hashable) -> None:
    """Raise a :exc:`TypeError` unless ``key`` can be a key of a dictionary."""
    try:
        hash(key)
    except TypeError as exc:
        raise TypeError(
            f"the key must be hashable ({exc}): use for example a tuple where this has a list"
        ) from None


def checked_keys(keys: Iterable[K]) -> dict[K, None]:
    """Return each of the keys once, in their order; or raise as `check_hashable`."""
    distinct: dict[K, None] = {}
    for key in keys:
        try:
            distinct[key] = None
        except TypeError:
            check_hashable(key)
            raise
    return distinct


def check_timeout(timeout: object) -> None:
    """Raise unless ``timeout`` is None or a number of seconds, zero and infinity included."""
    if timeout is not None and not checked_number(timeout, "timeout") >= 0:  # NaN is to fail too
        raise ValueError(f"timeout must not be negative or NaN, but is {timeout!r} seconds")


def check_duration(value: object, argument: str) -> None:
    """Raise unless ``value`` is None or a positive number of seconds, infinity included."""
    if value is not None and not checked_number(value, argument) > 0:
        raise ValueError(f"{argument} must be greater than zero seconds, but is {value!r}")


def check_delay(value: object, argument: str) -> None:
    """Raise unless ``value`` is a finite number of seconds, zero included."""
    if not 0 <= checked_number(value, argument, "a number of seconds") < math.inf:
        raise ValueError(f"{argument} must be zero or more seconds, and finite, but is {value!r}")


def check_count(value: object, argument: str, *, optional: bool = True) -> None:
    """Raise unless ``value`` is a whole number of one or more, or None if it is optional."""
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        wanted = "a whole number or None" if optional else "a whole number"
        raise TypeError(f"{argument} must be {wanted}, not {_kind(value)}")
    if value < 1:
        raise ValueError(f"{argument} must be one or more, not {value}")


def check_exceptions(value: object, argument: str) -> None:
    """Raise a :exc:`TypeError` unless ``value`` is a class of :exc:`Exception`, or a tuple of such.

    The class of a cancellation is refused: a cancellation is not an error of the work.
    """
    for one in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
        if not (isinstance(one, type) and issubclass(one, Exception)):
            raise TypeError(
                f"{argument} must be a subclass of Exception, or a tuple of such, not {one!r}"
            )


def check_instance(value: object, argument: str, kind: type) -> None:
    """Raise a :exc:`TypeError` unless ``value`` is an instance of ``kind``."""
    # A class has the methods that a protocol asks for, but is no instance of that.
    if isinstance(value, type) or not isinstance(value, kind):
        hint = f": write {value.__name__}(...)" if isinstance(value, type) else ""
        # With their modules: anyio and Trio have a class of the same name, for one.
        wanted, given = _full_name(kind), _full_name(type(value))
        raise TypeError(f"{argument} must be of type {wanted}, not an object of type {given}{hint}")


def has_utf8(text: str) -> bool:
    """Whether UTF-8 has bytes for a string, as it has none for a lone surrogate."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def not_awaitable(func: object, result: object) -> TypeError:
    """Return the error for a function whose result cannot be awaited."""
    return TypeError(
        f"{_name(func)} returned {_kind(result)}, which cannot be awaited: "
        "pass an async function, or wrap a blocking one with anyio.to_thread.run_sync"
    )


def not_mapping(func: object, result: object) -> TypeError:
    """Return the error for a batch function that returns something else than a mapping."""
    kind = _kind(result)
    hint = ": write dict(zip(keys, values))" if isinstance(result, (list, tuple)) else ""
    return TypeError(f"{_name(func)} must return a mapping from keys to values, not {kind}{hint}")


def checked_number(
    value: object, argument: str, wanted: str = "a number of seconds or None"
) -> float:
    """Return ``value`` as a float; raise unless it is a number that can be one."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{argument} must be {wanted}, not {_kind(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{argument} is too large: for no limit, give math.inf") from None


def _full_name(kind: type) -> str:
    prefix = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return prefix + kind.__qualname__


def _kind(value: object) -> str:
    return f"an object of type {type(value).__qualname__}"


def _name(func: object) -> str:
    return getattr(func, "__qualname__", None) or repr(func)
