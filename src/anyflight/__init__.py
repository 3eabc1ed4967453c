"""Request coalescing for asyncio and Trio: concurrent calls for one key share one execution."""

from __future__ import annotations

__all__ = (
    "Coalescer",
    "CoalescerError",
    "CoalescerStatistics",
    "FlightCancelledError",
    "FlightInfo",
    "FlightState",
)

from ._coalescer import Coalescer
from ._errors import CoalescerError, FlightCancelledError
from ._events import CoalescerStatistics, FlightInfo, FlightState

# Where a class is defined is nobody's business but this package's.
for _class in (
    Coalescer,
    CoalescerError,
    CoalescerStatistics,
    FlightCancelledError,
    FlightInfo,
    FlightState,
):
    _class.__module__ = __name__
