"""The questions, in the order in which they are measured and told."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from benchmarks import (
    batches,
    cache_hits,
    cache_misses,
    cancelled,
    checks,
    designs,
    errors,
    expiry,
    hot_key,
    joiner_parts,
    joiners,
    many_keys,
    miss,
    parts,
    scale,
)
from benchmarks._measure import Plan, Result


@dataclass(frozen=True, slots=True)
class Question:
    """One file of benchmarks.

    :ivar name: the name of the module
    :ivar title: its heading on the page
    :ivar text: what is measured, and how
    :ivar run: measures it on the back end that runs
    """

    name: str
    title: str
    text: str
    run: Callable[[Plan], Coroutine[Any, Any, list[Result]]]


QUESTIONS = {
    module.__name__.rpartition(".")[2]: Question(
        module.__name__.rpartition(".")[2], module.TITLE, module.TEXT.strip(), module.run
    )
    for module in (
        miss,
        joiners,
        joiner_parts,
        many_keys,
        batches,
        errors,
        cancelled,
        checks,
        parts,
        designs,
        cache_hits,
        cache_misses,
        expiry,
        hot_key,
        scale,
    )
}
