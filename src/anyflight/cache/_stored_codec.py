"""A value with what a cache has to know of it, as bytes."""

from __future__ import annotations

__all__ = ("StoredCodec",)

import json
from typing import Any

from anyflight.lease import Codec

from ._checks import checked_stored
from ._store import StoredValue


class StoredCodec:
    """Puts what is known of a value in front of it: one line of JSON.

    :param codec: for the value itself
    """

    __slots__ = ("_codec",)

    def __init__(self, codec: Codec[Any]) -> None:
        self._codec = codec

    def encode(self, value: StoredValue[Any], /) -> bytes:
        """Return the line and the value."""
        head = json.dumps([value.ttl, value.cost, sorted(value.tags)])
        return b"%b\n%b" % (head.encode(), self._codec.encode(value.value))

    def decode(self, data: bytes, /) -> StoredValue[Any]:
        """Return the value with what is known of it, but its age."""
        head, _, body = data.partition(b"\n")
        ttl, cost, tags = json.loads(head)
        value = self._codec.decode(body)
        return checked_stored(StoredValue(value=value, ttl=ttl, cost=cost, tags=frozenset(tags)))
