"""What the calls of one lease share, and what each of them gets."""

from __future__ import annotations

__all__ = ("Fetched", "Shared")

from dataclasses import dataclass
from typing import Any, NamedTuple

from anyflight._owner import Owner
from anyflight._telling import Telling

from ._hearing import Hearing
from ._held import Holdings
from ._requests import Requests
from ._settings import Settings
from ._statistics import Counters
from ._store import LeaseStore


@dataclass(frozen=True, slots=True)
class Shared:
    """What all calls of one lease share."""

    settings: Settings
    owner: Owner
    store: LeaseStore
    requests: Requests
    hearing: Hearing
    holdings: Holdings
    counters: Counters
    telling: Telling


class Fetched(NamedTuple):
    """What a call got.

    :ivar value: the value
    :ivar age: how many seconds ago it was stored by another; None if it is this call's own
    :ivar fenced: whether it is this call's own, and came too late to be stored
    """

    value: Any
    age: float | None = None
    fenced: bool = False
