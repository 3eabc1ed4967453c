"""How long a cache keeps things: the options about time, and the entries that they make."""

from __future__ import annotations

__all__ = ("Lifetimes",)

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from anyflight._outcome import Failure

from ._checks import check_error_ttl, check_fraction, check_span
from ._freshness import Entry
from ._store import StoredValue

#: In place of a value, in an entry that keeps an error alone.
NOTHING: Final = object()
#: After a refresh that failed, a value is left in peace for this part of the time to live. So the
#: work of a key that fails is asked at most ten times as often as if it did not.
PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """What :class:`ReadThroughCache` was given; its docstring says what each of them means."""

    ttl: float
    ttl_jitter: float
    stale_while_revalidate: float
    stale_if_error: float
    refresh_ahead: float
    error_ttl: Mapping[Any, float]

    def __post_init__(self) -> None:
        check_span(self.ttl, "ttl", least="above zero")
        check_fraction(self.ttl_jitter, "ttl_jitter")
        for name in ("stale_while_revalidate", "stale_if_error", "refresh_ahead"):
            check_span(getattr(self, name), name, least="zero or more")
        if self.refresh_ahead == math.inf:
            raise ValueError("refresh_ahead must be finite: 1 is the optimum, 2 refreshes earlier")
        check_error_ttl(self.error_ttl)
        object.__setattr__(self, "error_ttl", dict(self.error_ttl))  # whoever gave it may change it

    @property
    def longest(self) -> float:
        """The longest finite time for which anything is kept, or 1 if nothing ever leaves."""
        window = max(self.stale_while_revalidate, self.stale_if_error)
        spans = [self.ttl + window, *self.error_ttl.values()]
        return max((span for span in spans if span < math.inf), default=1)

    @property
    def longest_keep(self) -> float:
        """The longest time for which anything is kept, from when it was filled."""
        window = max(self.stale_while_revalidate, self.stale_if_error)
        return max(self.ttl + window, *self.error_ttl.values(), 0)

    def lifetime(self, draw: float) -> float:
        """Return for how long a value is fresh, for a draw in (0, 1]: ``ttl`` at most."""
        return self.ttl * (1 - self.ttl_jitter * (1 - draw)) if self.ttl_jitter else self.ttl

    def entry(self, stored: StoredValue[Any], now: float) -> Entry:
        """Return the entry for a value that was filled ``stored.age`` seconds before now."""
        expires = now - stored.age + min(stored.ttl, self.ttl)  # it may be another cache's value
        return Entry(
            value=stored.value,
            expires=expires,
            stale_until=expires + self.stale_while_revalidate,
            # Without a window not even a value that is fresh stands in for an error: one that was
            # set while the work was failing.
            spare_until=expires + self.stale_if_error if self.stale_if_error else -math.inf,
            cost=stored.cost,
            early=stored.cost * self.refresh_ahead,
            tags=stored.tags,
        )

    def keep(self, stored: StoredValue[Any]) -> float:
        """Return how many seconds after its filling a value is of no use to anybody."""
        return stored.ttl + max(self.stale_while_revalidate, self.stale_if_error)

    def error_lifetime(self, error: Exception) -> float | None:
        """Return for how long an error is kept: that of the first class that it is of."""
        kinds = self.error_ttl.items()
        return next((seconds for kind, seconds in kinds if isinstance(error, kind)), None)

    def failed(
        self, before: Entry | None, failure: Failure, tags: frozenset[str], until: float
    ) -> Entry:
        """Return the entry after an attempt whose error is kept; a value that there was stays."""
        if before is not None:
            tags |= before.tags
            return replace(before, tags=tags, failure=failure, quiet_until=until)
        return Entry(
            value=NOTHING,
            expires=-math.inf,
            stale_until=-math.inf,
            spare_until=-math.inf,
            cost=0.0,
            early=0.0,
            tags=tags,
            failure=failure,
            quiet_until=until,
        )

    def paused(self, before: Entry, now: float) -> Entry:
        """Return the entry whose value is being refreshed, or could not be."""
        return replace(before, failure=None, quiet_until=now + self.ttl * PAUSE)
