"""A cache that is filled through flights: what is kept, for how long, and who may have it."""

from __future__ import annotations

__all__ = ("CacheStatistics", "CacheStore", "ReadThroughCache", "StoredValue")

from ._read_through import ReadThroughCache
from ._statistics import CacheStatistics
from ._store import CacheStore, StoredValue
