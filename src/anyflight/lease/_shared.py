"""What the calls of one lease share, and what each of them gets."""

from __future__ import annotations

__all__ = ("Fetched", "Shared")

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from anyflight._errors import shortened
from anyflight._first_warning import FirstWarning
from anyflight._owner import Owner
from anyflight._telling import Telling

from ._hearing import Hearing
from ._held import Holdings
from ._outcomes import Terms
from ._requests import Requests
from ._settings import Settings
from ._statistics import Counters
from ._store import LeaseStore, Outcome, OutcomeKind


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
    refusal: FirstWarning = field(default_factory=FirstWarning)

    def outcome_of(self, key: Hashable, epoch: int, value: Any, terms: Terms) -> Outcome:
        """Return the outcome of an epoch that brought this value."""
        limit = self.settings.max_value_bytes
        try:
            encoded = cast("object", terms.codec.encode(value))
            body = (
                encoded if isinstance(encoded, bytes) else bytes(memoryview(cast("Any", encoded)))
            )
            if len(body) <= limit:
                return Outcome(epoch, terms.kind, body)
        except Exception as exc:  # noqa: BLE001 - the codec is the user's
            self.refused("encode", key, exc)
        else:
            self.refused("share", key, ValueError(f"{len(body)} bytes are more than {limit}"))
        return Outcome(epoch, OutcomeKind.UNSHARED, b"")

    def refused(self, what: str, key: Hashable, error: Exception) -> None:
        """Count a value that cannot be shared, and warn of the first. Nothing of it is logged."""
        self.counters.refused += 1
        self.refusal.give(
            "%s: could not %s the value of %s (%s), so the work is run wherever it is wanted",
            self.owner.label,
            what,
            shortened(key),
            type(error).__qualname__,
        )


class Fetched(NamedTuple):
    """What a call got.

    :ivar value: the value
    :ivar age: how many seconds ago it was stored by another; None if it is this call's own
    :ivar fenced: whether it is this call's own, and came too late to be stored
    """

    value: Any
    age: float | None = None
    fenced: bool = False
