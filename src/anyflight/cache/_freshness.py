"""What a cache keeps for a key, and what may be done with it: a function of the entry and now.

The life of a value, each span including its first moment and not its last::

    filled                     expires          + stale_while_revalidate   + stale_if_error
      |  FRESH      (REFRESH)    |      STALE              |    STALE_IF_ERROR     |   EXPIRED
      +--------------------------+-------------------------+-----------------------+---------->

The two windows both begin at `expires`, as in RFC 5861. While an error is kept, and nothing better
than STALE_IF_ERROR is there, the entry is FAILED.
"""

from __future__ import annotations

__all__ = ("LONGEST_LEAD", "Entry", "Freshness", "freshness")

import math
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from anyflight._outcome import Failure

#: The most that ``-log(draw)`` can be: a draw is ``1 - random()``, so at least 2 ** -53.
LONGEST_LEAD: Final = 53 * math.log(2)


class Freshness(Enum):
    """What may be done with an entry.

    .. attribute:: FRESH

        Serve it.
    .. attribute:: REFRESH

        Serve it, and let a flight in the background fetch the next value early.
    .. attribute:: STALE

        The same, and count it: it has expired, but may be served while it is revalidated.
    .. attribute:: FAILED

        Answer what an error is answered with, without asking again: with the value, if that may
        still stand in for an error, else with the error that was kept.
    .. attribute:: STALE_IF_ERROR

        Ask; serve the value only in place of an error.
    .. attribute:: EXPIRED

        Ask; this is of no use to anybody.
    """

    FRESH = auto()
    REFRESH = auto()
    STALE = auto()
    FAILED = auto()
    STALE_IF_ERROR = auto()
    EXPIRED = auto()


@dataclass(slots=True, eq=False)
class Entry:
    """What is kept for a key. But for `used` nothing is written again: what changes is a new entry.

    Times are those of the event loop's clock. An entry that keeps an error alone has no value, and
    the times of that are long over.
    """

    value: Any
    #: The first moment at which the value is not fresh.
    expires: float
    #: The first moment at which it may not be served while it is revalidated. Not before `expires`.
    stale_until: float
    #: The first moment at which it may not be served in place of an error; long over if never.
    spare_until: float
    #: How many seconds its work took, or 0.0 if nobody knows.
    cost: float
    #: By how many seconds an early refresh comes before `expires`, times ``-log(draw)``.
    early: float
    #: What `invalidate_tag` finds it by.
    tags: frozenset[str]
    #: The error of the last attempt, if it is kept.
    failure: Failure | None = None
    #: The work is not asked before this time again: not in the background after an attempt that
    #: failed, and not at all while the entry is FAILED.
    quiet_until: float = -math.inf
    #: Before this moment the entry is FRESH, whatever is drawn. Derived, as the next.
    calm_until: float = field(init=False)
    #: The first moment at which nobody has a use for it.
    gone: float = field(init=False)
    #: Whether it was asked for since the last look at it. Written by hits, and by `S3Fifo`.
    used: bool = False

    def __post_init__(self) -> None:
        self.calm_until = self.expires - self.early * LONGEST_LEAD if self.early else self.expires
        kept = -math.inf if self.failure is None else self.quiet_until
        self.gone = max(self.stale_until, self.spare_until, kept)

    def spare(self, now: float) -> bool:
        """Whether the value may be served in place of an error."""
        return now < self.spare_until

    def useless(self, now: float) -> bool:
        """Whether the value may not be served any more, whatever happens."""
        return now >= self.stale_until and now >= self.spare_until


def freshness(entry: Entry, now: float, draw: float) -> Freshness:
    """Return what may be done with an entry.

    The early refresh is that of Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache
    Stampede Prevention" (VLDB 2015).

    :param draw: uniformly distributed in (0, 1], a new one each time; looked at only if the entry
        is to be refreshed early at all
    """
    if now < entry.expires:
        early = entry.early and now - entry.early * math.log(draw) >= entry.expires
        return Freshness.REFRESH if early else Freshness.FRESH
    if now < entry.stale_until:
        return Freshness.STALE
    if entry.failure is not None and now < entry.quiet_until:
        return Freshness.FAILED
    return Freshness.STALE_IF_ERROR if now < entry.spare_until else Freshness.EXPIRED
