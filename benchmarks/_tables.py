"""Figures and tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks import _caches, _loaders, scale
from benchmarks._document import Document
from benchmarks._markdown import table
from benchmarks._measure import Result, Spread
from benchmarks._rivals import OURS

TIMES = ("µs", "ms")
NAMES = {"asyncio": "asyncio", "uvloop": "uvloop", "trio": "Trio"}
"""How the back ends are written."""


def figure(value: float) -> str:
    """Write a figure with as many digits as mean something."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2  # noqa: PLR2004
    return f"{value:,.{digits}f}"


def spread(ratio: Spread) -> str:
    """Write the median of a ratio, and its quartiles."""
    digits = 2 if ratio.median >= 0.1 else 3  # noqa: PLR2004
    return f"{ratio.median:.{digits}f} ({ratio.low:.{digits}f}-{ratio.high:.{digits}f})"


def tables_of(document: Document, question: str) -> Iterator[str]:
    """Yield the tables of a question."""
    for label in dict.fromkeys(result.label for result in document.of(question)):
        results = [each for each in document.of(question) if each.label == label]
        if question == "scale":
            yield from _by_size(label, results)
        else:
            yield from _by_case(document, label, results)


def _by_case(document: Document, label: str, results: Sequence[Result]) -> Iterator[str]:
    """Yield a table with a row for each case, its figure and its ratio on each back end."""
    names = list(dict.fromkeys(name for result in results for name in result.samples))
    ours = (OURS.name, _loaders.OURS.name, _caches.OURS.name)
    compared = any(name in names for name in ours) and results[0].unit in TIMES
    heads = [label, *(["cancel-safe"] if compared else [])]
    for result in results:
        heads += [f"{NAMES[result.backend]}, {result.unit}", "ratio"]
    rows: list[list[str]] = []
    for name in names:
        row = [_with_notes(name, results), *([_safety(document, name)] if compared else [])]
        for result in results:
            row += _cells(result, name)
        rows.append(row)
    yield from table(heads, rows, left=2 if compared else 1)


def _cells(result: Result, name: str) -> tuple[str, str]:
    if name not in result.samples:
        return "", ""
    if name == result.floor:
        return figure(result.figure(name).median), "1"
    return figure(result.figure(name).median), spread(result.ratio(name, result.floor))


def _with_notes(name: str, results: Sequence[Result]) -> str:
    notes = dict.fromkeys(result.notes.get(name, "") for result in results)
    told = "; ".join(filter(None, notes))
    return f"{name} ({told})" if told else name


def _safety(document: Document, name: str) -> str:
    verdicts = [found[name] for found in document.verdicts.values() if name in found]
    if not verdicts:
        return ""
    return "yes" if all(verdict.safe for verdict in verdicts) else "no"


def _by_size(label: str, results: Sequence[Result]) -> Iterator[str]:
    """Yield a table with a row for each size: anyflight's figure, then the floor's."""
    columns = [
        (backend, collector)
        for backend in dict.fromkeys(result.backend for result in results)
        for collector in ("", scale.OFF)
        if any(_has(result, backend, collector) for result in results)
    ]
    heads = [
        f"{label}, {results[0].unit}: anyflight / floor",
        *(NAMES[backend] + collector for backend, collector in columns),
    ]
    rows = [
        [f"{size:,}", *(_pair(results, size, *column) for column in columns)]
        for size in dict.fromkeys(result.size for result in results)
    ]
    yield from table(heads, rows)


def _has(result: Result, backend: str, collector: str) -> bool:
    return result.backend == backend and scale.OURS + collector in result.samples


def _pair(results: Sequence[Result], size: int, backend: str, collector: str) -> str:
    for result in results:
        if result.size == size and _has(result, backend, collector):
            ours = result.figure(scale.OURS + collector).median
            floor = result.figure(scale.FLOOR + collector).median
            return f"{figure(ours)} / {figure(floor)}"
    return ""
