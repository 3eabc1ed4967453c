"""Checks of what a user passes in: each says what was given and what to do instead."""

from __future__ import annotations

__all__ = ("check_callable", "check_choice", "check_hashable", "check_timeout", "not_awaitable")

from collections.abc import Hashable
from inspect import iscoroutine


def check_callable(func: object, argument: str) -> None:
    """Raise a :exc:`TypeError` unless ``func`` can be called."""
    if callable(func):
        return
    hint = ""
    if iscoroutine(func):
        func.close()  # or Python would warn, later and elsewhere, that it was never awaited
        hint = ": write execute(key, f, x), not execute(key, f(x))"
    raise TypeError(f"{argument} must be callable, not {_kind(func)}{hint}")


def check_choice(value: object, argument: str, choices: tuple[str, ...]) -> None:
    """Raise a :exc:`ValueError` unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{argument} must be {' or '.join(map(repr, choices))}, not {value!r}")


def check_hashable(key: Hashable) -> None:
    """Raise a :exc:`TypeError` unless ``key`` can be a key of a dictionary."""
    try:
        hash(key)
    except TypeError as exc:
        raise TypeError(
            f"the key must be hashable ({exc}): use for example a tuple where this has a list"
        ) from None


def check_timeout(timeout: object) -> None:
    """Raise unless ``timeout`` is None or a number of seconds, zero and infinity included."""
    if timeout is None:
        return
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be a number of seconds or None, not {_kind(timeout)}")
    if not timeout >= 0:  # written so that NaN fails too
        raise ValueError(f"timeout must not be negative or NaN, but is {timeout!r} seconds")


def not_awaitable(func: object, result: object) -> TypeError:
    """Return the error for a function whose result cannot be awaited."""
    name = getattr(func, "__qualname__", None) or repr(func)
    return TypeError(
        f"{name} returned {_kind(result)}, which cannot be awaited: "
        "pass an async function, or wrap a blocking one with anyio.to_thread.run_sync"
    )


def _kind(value: object) -> str:
    return f"an object of type {type(value).__qualname__}"
