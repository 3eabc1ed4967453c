"""Makes a program that fails smaller, as long as it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any


def shrink(program: Any, fails: Callable[[Any], bool]) -> Any:
    """Return a smallest program that fails: each smaller one that was tried does not."""
    while True:
        smaller = next((each for each in _smaller(program) if fails(each)), None)
        if smaller is None:
            return program
        program = smaller


def _smaller(thing: Any) -> Iterator[Any]:
    """Yield programs, or parts of one, with one thing less, the boldest first."""
    for change in (_less, _at_default, _smaller_parts):
        for field in fields(thing):
            for value in change(field, getattr(thing, field.name)):
                yield replace(thing, **{field.name: value})


def _less(_field: Any, value: Any) -> Iterator[Any]:
    # The last key stays: there are calls that must have one.
    if isinstance(value, tuple) and not (len(value) == 1 and isinstance(value[0], str)):
        for index in range(len(value)):
            yield value[:index] + value[index + 1 :]


def _at_default(field: Any, value: Any) -> Iterator[Any]:
    if field.default is not MISSING and value != field.default:
        yield field.default


def _smaller_parts(_field: Any, value: Any) -> Iterator[Any]:
    if is_dataclass(value):
        yield from _smaller(value)
    elif isinstance(value, tuple):
        for index, part in enumerate(value):
            if is_dataclass(part):
                for smaller in _smaller(part):
                    yield (*value[:index], smaller, *value[index + 1 :])


def brief(thing: Any) -> str:
    """Return the source of a program or a part of it, without what is at its default."""
    if isinstance(thing, tuple):
        inner = "".join(f"{brief(each)}, " for each in thing)
        return f"({inner.removesuffix(' ') if len(thing) == 1 else inner.removesuffix(', ')})"
    if not is_dataclass(thing):
        return repr(thing)
    given = [
        f"{field.name}={brief(getattr(thing, field.name))}"
        for field in fields(thing)
        if getattr(thing, field.name) != field.default
    ]
    return f"{type(thing).__name__}({', '.join(given)})"
