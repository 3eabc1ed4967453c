"""What a user expects of a loader that batches, and what a loader is seen to do instead."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple

from benchmarks import _batch_probes, _caller_probes
from benchmarks._backends import EVERYWHERE, ON_ASYNCIO, run_on
from benchmarks._loaders import Loader
from benchmarks._probes import Probe


class Claim(NamedTuple):
    """One row of the table.

    :ivar title: what a user expects
    :ivar see: finds out what a loader does instead on a back end; "" if nothing
    :ivar backends: where it can be tried
    """

    title: str
    see: Callable[[Loader, str], str]
    backends: frozenset[str] = EVERYWHERE


def _claim(
    title: str,
    probe: Callable[[Probe], Coroutine[Any, Any, str]],
    backends: frozenset[str] = EVERYWHERE,
) -> Claim:
    return Claim(title, partial(_see, probe), backends)


def _see(probe: Callable[[Probe], Coroutine[Any, Any, str]], loader: Loader, backend: str) -> str:
    async def run() -> str:
        return await probe(Probe(loader, backend))

    return run_on(backend, run)


CLAIMS = (
    _claim("calls for one key share its load", _caller_probes.shares),
    _claim("also where values are not remembered", _caller_probes.shares_without_memory),
    _claim(
        "cancelling a caller harms no other of its key", _caller_probes.cancelled_beside_its_key
    ),
    _claim("nor those of other keys in its batch", _caller_probes.cancelled_beside_other_keys),
    _claim(
        "after a caller was cancelled all keys can be asked for", _caller_probes.asked_for_again
    ),
    _claim(
        "a key that all have left before its batch goes is not asked for",
        _caller_probes.left_before_it_goes,
    ),
    _claim("a batch that all have left is stopped", _caller_probes.left_while_it_runs),
    _claim(
        "a batch that raises: each caller gets an exception of its own", _batch_probes.batch_fails
    ),
    _claim("and its keys can be asked for again", _batch_probes.batch_has_failed),
    _claim("the error of one key is raised for that key alone", _batch_probes.key_fails),
    _claim("and not remembered", _batch_probes.key_has_failed),
    _claim(
        "a key that is absent from what a batch returns fails alone", _batch_probes.key_is_absent
    ),
    _claim(
        "a batch that ends by a cancellation: its callers get an error",
        _batch_probes.batch_is_cancelled,
        ON_ASYNCIO,
    ),
    _claim("a batch can load other keys of the loader", _batch_probes.loads_within),
    _claim("a batch that waits for itself is told so", _batch_probes.loads_itself),
    _claim("no batch is larger than allowed, no key is lost", _batch_probes.largest_batch),
    _claim("as many batches run at once as allowed", _batch_probes.batches_at_once),
    _claim("while no more may run, keys gather for the next", _batch_probes.gathers_while_full),
    _claim("a batch waits for more keys as long as told", _batch_probes.waits_for_more),
    _claim("closing leaves no batch behind", _batch_probes.closes),
    Claim("it can be used in one event loop after another", _batch_probes.second_event_loop),
    Claim("it runs on Trio", _batch_probes.on_trio),
)
