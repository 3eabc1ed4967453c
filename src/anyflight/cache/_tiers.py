"""Which second tier a cache has, and what the work of its flights is with it."""

from __future__ import annotations

__all__ = ("Tiers", "tiers")

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from anyflight.lease import Lease

from ._first_tier import FirstTier
from ._hearing import Hearing
from ._loading import Loading
from ._second_tier import SecondTier
from ._shared_tier import SharedTier
from ._sharing import Sharing
from ._store import CacheStore


class Tiers(NamedTuple):
    """What stands behind the memory of a cache."""

    second: SecondTier | SharedTier | None
    loading: Loading
    hearing: Hearing | None


def tiers(  # noqa: PLR0913, PLR0917 - called once
    store: CacheStore[Any, Any] | None,
    across: Lease[Any] | None,
    first: FirstTier,
    label: str,
    forget: Callable[[Any], None],
    forget_all: Callable[[], None],
    loading: Callable[[], Iterable[Any]],
) -> Tiers:
    """Return what stands behind the first tier.

    :param forget: forgets what this process keeps for a key
    :param forget_all: forgets everything
    :param loading: says for which keys loaders are at work
    """
    if across is None:
        second = None if store is None else SecondTier(store, label, first.counters)
        return Tiers(second, Loading(first, second, label), None)
    if store is not None:
        raise ValueError("give a cache either a store or across, which has a store of its own")
    shared = SharedTier(across)
    hearing = Hearing(across, first, forget, forget_all, loading)
    return Tiers(shared, Sharing(first, shared, hearing, label), hearing)
