"""How values cross processes: as JSON, unless the user says otherwise."""

from __future__ import annotations

__all__ = ("Codec", "JSONCodec")

import json
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

V = TypeVar("V")


@runtime_checkable
class Codec(Protocol[V]):
    """Makes bytes of a value, and a value of bytes that came from another process.

    Whatever either method raises costs no call its value: it is counted, and the work is run where
    its value is wanted. What is decoded comes from whoever may write to the server: a codec that
    trusts it, as one of pickle does, trusts them with the process.
    """

    def encode(self, value: V, /) -> bytes:
        """Return what `decode` makes an equal value of."""
        ...

    def decode(self, data: bytes, /) -> V:
        """Return the value."""
        ...


class JSONCodec:
    """JSON in UTF-8, for what comes out of it as it went in.

    A tuple would come back as a list, a key that is no string as one: so a value is refused if it
    holds anything but dictionaries with string keys, lists, strings, numbers, booleans and None.
    Another process must not get another value than the one in which it was made.
    """

    def encode(self, value: Any, /) -> bytes:
        """Return the JSON text.

        :raises TypeError: if the value would come back as another one
        :raises ValueError: if it holds itself, or what UTF-8 has no bytes for
        """
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=True)
        _check_faithful(value)
        return text.encode()

    def decode(self, data: bytes, /) -> Any:
        """Return the value of a JSON text."""
        return json.loads(data)


_LEAVES = frozenset({str, int, float, bool, type(None)})


def _check_faithful(value: object) -> None:
    """Raise unless JSON has all the types that the value is made of; it holds no circle."""
    pending = [value]
    while pending:
        one = pending.pop()
        kind = type(one)
        if kind in _LEAVES:
            continue
        if kind is list:
            pending.extend(cast("list[object]", one))
        elif kind is dict:
            items = cast("dict[object, object]", one)
            if any(type(key) is not str for key in items):
                raise TypeError("JSON would make a string of a key that is none")
            pending.extend(items.values())
        else:
            raise TypeError(f"JSON would not give back an object of type {kind.__qualname__}")
