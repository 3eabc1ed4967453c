"""Checks of what the users of a cache pass in, beside those of `anyflight._checks`."""

from __future__ import annotations

__all__ = (
    "check_error_ttl",
    "check_fraction",
    "check_span",
    "check_tag",
    "checked_stored",
    "checked_tags",
)

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from anyflight._checks import check_exceptions, check_instance, checked_number, has_utf8
from anyflight._errors import shortened

from ._store import StoredValue


def check_span(value: object, argument: str, *, least: str) -> None:
    """Raise unless ``value`` is a number that is "above zero", or "zero or more"; infinity is."""
    number = checked_number(value, argument, "a number")
    if not (number > 0 if least == "above zero" else number >= 0):  # NaN is to fail too
        raise ValueError(f"{argument} must be {least}, but is {value!r}")


def check_fraction(value: object, argument: str) -> None:
    """Raise unless ``value`` is a number from 0 to 1."""
    if not 0 <= checked_number(value, argument, "a number") <= 1:
        raise ValueError(f"{argument} must be from 0 to 1, but is {value!r}")


def check_error_ttl(value: object) -> None:
    """Raise unless ``value`` says of classes of :exc:`Exception` how long to keep such errors."""
    if not isinstance(value, Mapping):
        raise TypeError(
            "error_ttl must be a mapping from classes of exceptions to seconds, not an object of "
            f"type {type(value).__qualname__}: write for example error_ttl={{LookupError: 5}}"
        )
    for kind, seconds in cast("Mapping[object, object]", value).items():
        check_exceptions(kind, "each key of error_ttl")
        check_span(seconds, "each value of error_ttl", least="above zero")


def checked_stored(stored: object) -> StoredValue[Any]:
    """Return what a store has returned, or raise what is wrong with it.

    An age below zero is set right: what comes from another machine may have been filled by a clock
    that is ahead.
    """
    check_instance(stored, "what a store returns", StoredValue)
    found = cast("StoredValue[Any]", stored)
    for name in ("ttl", "cost"):
        check_span(getattr(found, name), f"the {name} of a stored value", least="zero or more")
    age = checked_number(found.age, "the age of a stored value", "a number")
    if not age < math.inf:  # NaN is to fail too
        raise ValueError(f"the age of a stored value must be finite, but is {age!r}")
    return replace(found, age=max(age, 0.0), tags=checked_tags(found.tags))


def checked_tags(tags: Iterable[str]) -> frozenset[str]:
    """Return the tags; raise a :exc:`TypeError` unless they are several strings."""
    if isinstance(tags, str):
        raise TypeError(f"tags must be several strings, not one: write tags=[{tags!r}]")
    found = frozenset(tags)
    for tag in found:
        check_tag(tag)
    return found


def check_tag(tag: object) -> None:
    """Raise unless ``tag`` is a string, and one that UTF-8 has bytes for."""
    if not isinstance(tag, str):
        raise TypeError(f"a tag must be a string, not an object of type {type(tag).__qualname__}")
    if not has_utf8(tag):
        raise ValueError(f"UTF-8 has no bytes for tag {shortened(tag)}")
