"""What crosses processes: values by the codec, errors by name and message."""

from __future__ import annotations

__all__ = ("Terms", "error_outcome", "remote_error")

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from anyflight._errors import shortened

from ._codec import Codec
from ._errors import RemoteFlightError
from ._store import Outcome, OutcomeKind

#: How many characters of an error's message cross processes.
LONGEST_MESSAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms the outcomes of calls are stored.

    :ivar codec: makes bytes of values
    :ivar keep: says for how many seconds a value is stored
    :ivar wanted: whether it is stored even if nobody waits, and so is the news that there is none
    :ivar error_keep: for how many seconds an error is stored, for those who wait
    :ivar kind: what its values are to be known by. Those of another are no use to it
    """

    codec: Codec[Any]
    keep: Callable[[Any], float]
    wanted: bool
    error_keep: float
    kind: OutcomeKind = OutcomeKind.VALUE


def error_outcome(epoch: int, error: Exception) -> Outcome:
    """Return the outcome of an epoch whose work failed."""
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - of the error's class: it is no less an error for that
        message = ""
    record = json.dumps([name, message[:LONGEST_MESSAGE]])
    return Outcome(epoch, OutcomeKind.ERROR, record.encode())


def remote_error(key: Hashable, body: bytes) -> RemoteFlightError:
    """Return the error for an outcome of another process.

    :raises Exception: if the body is not what `error_outcome` makes
    """
    name, message = json.loads(body)
    if not (isinstance(name, str) and isinstance(message, str)):
        raise TypeError("this is no record of an error")
    text = f"the work for key {shortened(key)} failed in another process: {name}: {message}"
    return RemoteFlightError(text, key, name, message)
