"""A run whose figures are made up."""

from __future__ import annotations

from benchmarks import (
    batches,
    cache_hits,
    checks,
    expiry,
    hot_key,
    joiners,
    many_keys,
    miss,
    scale,
)
from benchmarks._document import Document
from benchmarks._environment import Environment
from benchmarks._measure import Result, Samples
from benchmarks._rivals import Verdict


def result(
    question: str, label: str, floor: str, samples: Samples, size: int = 0, unit: str = "µs"
) -> Result:
    return Result(
        question=question,
        backend="asyncio",
        label=label,
        size=size,
        floor=floor,
        samples=samples,
        unit=unit,
    )


def document(
    *,
    joiner: float = 1.1,
    safe: float = 2,
    call: float = 1.05,
    check: float = 0.05,
    key: float = 0.4,
    last: float = 2,
    hit: float = 0.4,
    executions: float = 1,
    theory: float = 1.01,
) -> Document:
    """Return a run in which a floor costs 1 µs; by default all targets are met.

    :param joiner: what a joiner costs; `call` an uncontended one
    :param safe: what all calls of the cancel-safe rival cost; the other's cost a half
    :param key: what a key in a batch costs; with another loader it is a half
    :param check: what both checks cost, as a share of a joiner
    :param hit: what a hit of our cache costs; of another one it is a half
    :param executions: how often our cache loads what has expired
    :param theory: how often it loads a hot key, beside the theory
    :param last: what a call with the most keys in flight costs, with the fewest it is 2
    """
    return Document(
        environment=Environment(
            date="2026-01-02",
            processor="Abacus",
            cores=2,
            memory_gb=24,
            load=0.5,
            system="Linux x86_64",
            python="CPython 3.13.0",
            packages={"anyio": "4.14.0", "trio": "0.31.0", "uvloop": "0.21.0", "anyflight": "1"},
        ),
        command="nox -s bench",
        quick=False,
        seconds=600,
        load_after=1.2,
        backends=("asyncio",),
        verdicts={
            "asyncio": {
                "anyflight": Verdict(safe=True, finding=""),
                "coalescer": Verdict(safe=True, finding=""),
                "oneflight": Verdict(safe=False, finding="199 of 199 are cancelled"),
                "BatchLoader": Verdict(safe=True, finding=""),
                "dloader": Verdict(safe=False, finding="199 of 199 are cancelled"),
                "ReadThroughCache": Verdict(safe=True, finding=""),
            }
        },
        results=(
            result("miss", "quick work", miss.FLOOR, _rivals(miss.FLOOR, call, safe)),
            result("joiners", "9 joiners", joiners.FLOOR, _rivals(joiners.FLOOR, joiner, safe), 9),
            result("many_keys", "9 calls", many_keys.FLOOR, _rivals(many_keys.FLOOR, 1.5, safe)),
            result(
                "batches",
                "9 keys, one call for all",
                batches.FLOOR,
                {batches.FLOOR: [1.0], "BatchLoader": [key], "dloader": [0.5]},
            ),
            result(
                "cache_hits",
                "a hit",
                cache_hits.FLOOR,
                {cache_hits.FLOOR: [0.1], "ReadThroughCache": [hit], "async-lru": [0.5]},
            ),
            result(
                "expiry",
                "9 calls",
                expiry.FLOOR,
                {expiry.FLOOR: [1.0], "ReadThroughCache": [executions]},
                unit="executions",
            ),
            result(
                "hot_key",
                "L = 9",
                hot_key.FLOOR,
                {hot_key.FLOOR: [2.0], "ReadThroughCache": [2 * theory]},
                unit="executions/s",
            ),
            result(
                "checks",
                "checks of a call",
                checks.JOINER,
                {checks.JOINER: [1.0, 1.0], checks.BOTH: [check, check]},
            ),
            *(
                result(
                    "scale",
                    scale.COST["keys"],
                    scale.FLOOR,
                    {scale.FLOOR + scale.OFF: [1.0], scale.OURS + scale.OFF: [cost]},
                    size,
                )
                for size, cost in ((10, 2.0), (1_000_000, last))
            ),
        ),
    )


def _rivals(floor: str, ours: float, safe: float) -> Samples:
    return {
        floor: [1.0, 1.0, 1.0],
        "anyflight": [ours, 9.0, ours],
        "coalescer": [safe, safe, safe],
        "oneflight": [0.5, None, None],
    }
