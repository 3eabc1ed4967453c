"""By what name a server knows a key."""

from __future__ import annotations

__all__ = ("Naming",)

from collections.abc import Callable, Hashable
from typing import Any

from anyflight._call_key import CallKey
from anyflight._checks import has_utf8
from anyflight._errors import shortened


class Naming:
    """Makes names of keys.

    :param encode: makes a string of a key; None: keys are strings
    """

    __slots__ = ("_encode",)

    def __init__(self, encode: Callable[[Any], str] | None) -> None:
        self._encode = encode

    @property
    def names_are_keys(self) -> bool:
        """Whether the server knows a key by itself."""
        return self._encode is None

    def name_of(self, key: Hashable) -> str:
        """Return the string by which the server knows a key.

        :raises TypeError: if it has none
        :raises ValueError: if UTF-8 has no bytes for it
        """
        encode = self._encode
        if isinstance(key, CallKey):
            raise TypeError(
                f"{shortened(key)} names a call in this process only: say with coalesced(key=...) "
                "which string is the key of it in all processes"
            )
        name: object = key if encode is None else encode(key)
        if isinstance(name, str):
            if not has_utf8(name):
                raise ValueError(f"UTF-8 has no bytes for key {shortened(key)}")
            return str.__str__(name)  # of a subclass, the string that it is equal to
        if encode is None:
            raise TypeError(
                f"a key must be a string, not {shortened(key)}: give the lease an encode_key that "
                "makes another string of each key, as encode_key=str does of integers"
            )
        kind = type(name).__qualname__
        raise TypeError(f"encode_key must return a string, not an object of type {kind}")
