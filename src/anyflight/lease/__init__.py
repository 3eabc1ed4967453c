"""One flight per key in all processes that share a server: the lease.

This package needs no server and no other package. The leases of a Valkey or Redis server are in
``anyflight.lease.valkey``.
"""

from __future__ import annotations

__all__ = (
    "Acquired",
    "Busy",
    "Codec",
    "Hear",
    "Hit",
    "JSONCodec",
    "Lease",
    "LeaseConfigurationError",
    "LeaseEnd",
    "LeaseEnded",
    "LeaseInstrument",
    "LeaseStatistics",
    "LeaseStore",
    "LeaseUnavailableError",
    "MemoryStore",
    "Notice",
    "Outcome",
    "OutcomeKind",
    "RemoteFlightError",
    "RequestRefusedError",
    "ServerFound",
    "ServerLost",
    "Won",
    "fencing_number",
)

from ._codec import Codec, JSONCodec
from ._errors import (
    LeaseConfigurationError,
    LeaseUnavailableError,
    RemoteFlightError,
    RequestRefusedError,
)
from ._events import LeaseEnd, LeaseEnded, LeaseInstrument, ServerFound, ServerLost
from ._held import fencing_number
from ._lease import Lease
from ._memory_store import MemoryStore
from ._statistics import LeaseStatistics
from ._store import (
    Acquired,
    Busy,
    Hear,
    Hit,
    LeaseStore,
    Notice,
    Outcome,
    OutcomeKind,
    Won,
)

# As in the package above; these two are no classes, only names of types.
for _name in __all__:
    if _name not in {"Acquired", "Hear"}:
        globals()[_name].__module__ = __name__
