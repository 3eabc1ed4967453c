"""What a user expects of a cache that loads what it lacks, and what one is seen to do instead."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple

import anyio

from benchmarks import _freshness_probes, _keeping_probes, _sharing_probes
from benchmarks._cache import LacksError, Settings
from benchmarks._cache_probes import LACKS, TTL, Opens, Source, opener
from benchmarks._caches import Kind
from benchmarks._virtual_time import run_virtually


class Claim(NamedTuple):
    """One row of the table.

    :ivar title: what a user expects
    :ivar see: finds out what a cache does instead on a back end; "" if nothing
    """

    title: str
    see: Callable[[Kind, str], str]


def _see(probe: Callable[[Opens], Coroutine[Any, Any, str]], kind: Kind, backend: str) -> str:
    async def run() -> str:
        return await probe(opener(kind, backend))

    return _seen(kind, backend, run)


def _seen(kind: Kind, backend: str, *runs: Callable[[], Coroutine[Any, Any, str]]) -> str:
    try:
        return next(filter(None, (run_virtually(backend, run) for run in runs)), "")
    except LacksError:
        return LACKS
    except BaseException as error:
        if backend in kind.backends and not isinstance(error, Exception):
            raise
        return _names(error)


def _names(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        found: list[str] = [_names(each) for each in error.exceptions]
        return found[0]
    return LACKS if isinstance(error, LacksError) else f"raises {type(error).__name__}"


def _two_event_loops(kind: Kind, backend: str) -> str:
    """Fill a cache in an event loop, and ask in another one when the value has expired."""
    source = Source()
    cache = kind.make(source, Settings(ttl=TTL))

    async def fill() -> str:
        async with opener(kind, backend)(cache, source) as probe:
            return await probe.ask("a", "a1")

    async def ask() -> str:
        await anyio.sleep(2 * TTL)
        async with opener(kind, backend)(cache, source) as probe:
            return await probe.ask("a", "a2")

    return _seen(kind, backend, fill, ask)


def _on_trio(kind: Kind, _: str) -> str:
    async def run() -> str:
        async with opener(kind, "trio")() as probe:
            return await probe.ask("a", "a1")

    return _seen(kind, "trio", run)


def _claim(title: str, probe: Callable[[Opens], Coroutine[Any, Any, str]]) -> Claim:
    return Claim(title, partial(_see, probe))


CLAIMS = (
    _claim("values expire", _freshness_probes.expires),
    _claim("each has a lifetime of its own (jitter)", _freshness_probes.spreads),
    _claim("an old value is served while one load revalidates it", _freshness_probes.serves_stale),
    _claim("and none that is older than allowed", _freshness_probes.serves_nothing_older),
    _claim(
        "a revalidation that fails is not tried at each hit", _freshness_probes.pauses_refreshes
    ),
    _claim("an old value is served in place of an error", _freshness_probes.spares_errors),
    _claim("errors can be kept for a time", _freshness_probes.keeps_errors),
    _claim("each who gets one gets an exception of its own", _freshness_probes.copies_kept_errors),
    _claim("a value in demand is fetched before it expires", _freshness_probes.refreshes_early),
    _claim("the earlier the more it costs (Vattani et al.)", _freshness_probes.refreshes_by_cost),
    _claim("1,000 calls for a cold key: one execution", _sharing_probes.shares_when_cold),
    _claim("1,000 calls for an expired key: one execution", _sharing_probes.shares_when_expired),
    _claim("1,000 calls for work that fails: one execution", _sharing_probes.shares_errors),
    _claim("each gets an exception of its own", _sharing_probes.copies_errors),
    _claim("cancelling the first caller harms no other", _sharing_probes.first_is_cancelled),
    _claim("nor does cancelling another one", _sharing_probes.another_is_cancelled),
    _claim("work that all have left is stopped", _sharing_probes.all_are_cancelled),
    _claim("1,000 calls that wait hold up no hit", _sharing_probes.slow_key_apart),
    _claim("one key can be invalidated", _keeping_probes.forgets_one),
    _claim("an invalidation keeps a late result out", _keeping_probes.keeps_out_late),
    _claim("calls after it do not join a load before it", _keeping_probes.joins_nothing_old),
    _claim("nor does the end of that harm them", _keeping_probes.old_end_harms_nobody),
    _claim("values can be invalidated by tag", _keeping_probes.forgets_tagged),
    _claim("which keeps late results out", _keeping_probes.tag_keeps_out_late),
    _claim("which works in a full cache", _keeping_probes.finds_tagged_when_full),
    _claim("None and false values are kept", _keeping_probes.keeps_everything),
    _claim("there are no more values than allowed", _freshness_probes.has_a_bound),
    _claim("work that fails throws out no value", _keeping_probes.failing_costs_nobody),
    _claim("expired values leave, though nobody asks", _freshness_probes.lets_go),
    _claim("one can look without waiting (peek)", _keeping_probes.peeks),
    _claim("many keys in one call", _keeping_probes.gets_many),
    _claim("which share a key that is being loaded", _sharing_probes.many_share),
    Claim("values expire also in another event loop", _two_event_loops),
    Claim("it runs on Trio", _on_trio),
)
