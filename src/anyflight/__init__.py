"""Request coalescing for asyncio and Trio: concurrent calls for one key share one execution."""

from __future__ import annotations

__all__ = (
    "BatchLanded",
    "BatchLoader",
    "BatchLoaderStatistics",
    "CacheStatistics",
    "CacheStore",
    "CallJoined",
    "CallLeft",
    "CoalescedFunction",
    "Coalescer",
    "CoalescerError",
    "CoalescerStatistics",
    "DeadlockError",
    "FlightCancelledError",
    "FlightInfo",
    "FlightLanded",
    "FlightOutcome",
    "FlightStarted",
    "FlightState",
    "FlightTimeoutError",
    "Instrument",
    "MissingKeyError",
    "ReadThroughCache",
    "StoredValue",
    "TooManyWaitersError",
    "coalesced",
)

from ._coalesced_function import CoalescedFunction
from ._coalescer import Coalescer
from ._decorator import coalesced
from ._errors import (
    CoalescerError,
    DeadlockError,
    FlightCancelledError,
    FlightTimeoutError,
    MissingKeyError,
    TooManyWaitersError,
)
from ._events import (
    BatchLanded,
    BatchLoaderStatistics,
    CallJoined,
    CallLeft,
    CoalescerStatistics,
    FlightInfo,
    FlightLanded,
    FlightOutcome,
    FlightStarted,
    FlightState,
    Instrument,
)
from ._loader import BatchLoader
from .cache import CacheStatistics, CacheStore, ReadThroughCache, StoredValue

# So that `repr` and pickles name what users import, and modules can be moved.
for _name in __all__:
    globals()[_name].__module__ = __name__
