"""The targets, and whether a run met them: computed from its figures, by medians."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import NamedTuple

from benchmarks import batches, cache_hits, checks, hot_key, joiners, miss, scale
from benchmarks._caches import OURS as CACHE
from benchmarks._document import Document
from benchmarks._loaders import OURS as BATCH_LOADER
from benchmarks._measure import NEARLY_ONE, Result
from benchmarks._rivals import OURS

JOINER_LIMIT = 1.2
MISS_LIMIT = 1.1
CHECKS_LIMIT = 0.1
GROWTH_LIMIT = 1.1
THEORY_LIMIT = 0.03
MANY = 10_000
"""Keys in flight; more than two sizes lie above, for the largest are measured once."""


class Score(NamedTuple):
    """What was measured for a target on one back end, and whether that meets it."""

    met: bool
    figure: float
    word: str = ""


class Target(NamedTuple):
    """One target; a back end on which it says nothing has no score."""

    name: str
    scores: dict[str, Score]


def targets_of(document: Document) -> list[Target]:
    """Return all targets with their scores."""
    return [
        *_each_label(
            document,
            "joiners",
            f"{{label}}: at most {JOINER_LIMIT} times the bare wait",
            lambda result: _at_most(JOINER_LIMIT, result, OURS.name, joiners.FLOOR),
        ),
        *_each_label(
            document,
            "joiners",
            "{label}: less than every cancel-safe rival",
            lambda result: _below_safe_rivals(document, result),
        ),
        *_each_label(
            document,
            "miss",
            f"an uncontended call, {{label}}: at most {MISS_LIMIT} times the owned task",
            lambda result: _at_most(MISS_LIMIT, result, OURS.name, miss.FLOOR),
        ),
        *_each_label(
            document,
            "many_keys",
            "{label}: less than every cancel-safe rival",
            lambda result: _below_safe_rivals(document, result),
        ),
        *_each_label(document, "batches", "{label}: less than every loader", _below_loaders),
        *_each_label(document, "cache_hits", "{label}: less than every cache", _below_caches),
        *_each_label(
            document, "expiry", "{label}: exactly one execution", _exactly_one, "executions"
        ),
        *_each_label(
            document,
            "hot_key",
            f"{{label}}: executions within {THEORY_LIMIT:.0%} of the theory",
            _as_theory,
            "executions/s",
        ),
        *_each_label(
            document,
            "checks",
            f"{{label}}: at most {CHECKS_LIMIT} of a joiner",
            lambda result: _at_most(CHECKS_LIMIT, result, checks.BOTH, checks.JOINER),
        ),
        *_each_label(
            document,
            "checks",
            "{label}: to have none costs no more than one that does nothing",
            _instruments_off,
        ),
        _growth(document),
    ]


def _each_label(
    document: Document,
    question: str,
    name: str,
    score: Callable[[Result], Score | None],
    unit: str = "µs",
) -> Iterator[Target]:
    """Make a target of each label, with the scores of all back ends."""
    asked = [each for each in document.of(question) if each.unit == unit]
    for label in dict.fromkeys(result.label for result in asked):
        results = [each for each in asked if each.label == label]
        scores = {result.backend: score(result) for result in results}
        found = {backend: each for backend, each in scores.items() if each is not None}
        if found:
            yield Target(name.format(label=label), found)


def _at_most(limit: float, result: Result, case: str, to: str) -> Score | None:
    if case not in result.samples or to not in result.samples:
        return None
    ratio = result.ratio(case, to).median
    return Score(ratio <= limit, ratio)


def _below_safe_rivals(document: Document, result: Result) -> Score | None:
    safe = document.safe_rivals(result.backend)
    return _below(result, OURS.name, [rival for rival in safe if rival in result.samples])


def _below_loaders(result: Result) -> Score | None:
    """Compare with all of them, whatever they do when a caller is cancelled."""
    ours = BATCH_LOADER.name
    return _below(
        result, ours, [each for each in result.samples if each not in {ours, batches.FLOOR}]
    )


def _below_caches(result: Result) -> Score | None:
    ours = CACHE.name
    rivals = [each for each in result.samples if each not in {ours, cache_hits.FLOOR}]
    return _below(result, ours, rivals)


def _exactly_one(result: Result) -> Score:
    executions = result.figure(CACHE.name).median
    return Score(executions == 1, executions)


def _as_theory(result: Result) -> Score:
    ratio = result.ratio(CACHE.name, hot_key.FLOOR).median
    return Score(abs(ratio - 1) <= THEORY_LIMIT, ratio)


def _below(result: Result, ours: str, rivals: Iterable[str]) -> Score | None:
    ratios = {rival: result.ratio(ours, rival).median for rival in rivals}
    if not ratios:
        return None
    cheapest = max(ratios, key=ratios.__getitem__)
    return Score(ratios[cheapest] < 1, ratios[cheapest], f"of {cheapest}")


def _instruments_off(result: Result) -> Score | None:
    """Compare none with one that does nothing; the same measured twice says what is noise."""
    if checks.WITHOUT not in result.samples:
        return None
    ratio = result.ratio(checks.WITHOUT, checks.WITH).median
    noise = abs(1 - result.ratio(checks.AGAIN, checks.WITHOUT).median)
    return Score(ratio <= NEARLY_ONE + noise, ratio, "of one that does nothing")


def _growth(document: Document) -> Target:
    """Compare the ratio to the floor with many keys in flight, and with few; collector off."""
    scores: dict[str, Score] = {}
    for backend in document.backends:
        few, many = _off_ratios(document, backend)
        if few and many:
            ratio = median(many) / median(few)
            scores[backend] = Score(ratio <= GROWTH_LIMIT, ratio)
    name = (
        f"a call with {MANY:,} keys in flight or more: at most {GROWTH_LIMIT} times as far from "
        "its floor as with fewer"
    )
    return Target(name, scores)


def _off_ratios(document: Document, backend: str) -> tuple[list[float], list[float]]:
    ours, floor = scale.OURS + scale.OFF, scale.FLOOR + scale.OFF
    few: list[float] = []
    many: list[float] = []
    for result in document.of("scale", backend):
        if result.label == scale.COST["keys"] and ours in result.samples:
            ratios = many if result.size >= MANY else few
            ratios.append(result.ratio(ours, floor).median)
    return few, many
