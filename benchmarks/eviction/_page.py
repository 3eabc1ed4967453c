"""The page: what a run has found, in plain English and tables."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

from benchmarks._markdown import paragraph, table
from benchmarks._measure import Result
from benchmarks._tables import figure, spread
from benchmarks.eviction._document import NO_CHANCE, Document
from benchmarks.eviction.contestants import CONTESTANTS, FLOOR, LRU, OURS, SAME, Contestant
from benchmarks.eviction.costs import HIT, MISS, PARTS
from benchmarks.eviction.hit_ratios import RATED, Cell
from benchmarks.eviction.probes import PROBES, YES
from benchmarks.eviction.traces import TRACES

PICTURE = "pictures/eviction.png"
CHOICE = (
    "S3-FIFO (Yang et al., SOSP 2023) is taken here with one bit per entry, where the paper has",
    "two. A newcomer waits in a small queue; if it is used there it moves on to the main one, else",
    "it is evicted early, so that what is asked for once drives out nothing that is asked for",
    "again. A hit is a lookup in a dictionary and a mark on what was found; no library is called,",
    "none is needed, and only the thread that asks takes part.",
)


def page_of(document: Document) -> str:
    """Return the page, in Markdown."""
    parts = (_head, _choice, _ratios, _costs, _footprints, _probes, _method)
    return "\n".join(line for part in parts for line in part(document)).rstrip() + "\n"


def _head(document: Document) -> Iterator[str]:
    facts = document.environment
    packages = [each.package for each in CONTESTANTS if each.package]
    versions = ", ".join(f"{name} {facts.packages[name]}" for name in dict.fromkeys(packages))
    yield "# Eviction"
    yield ""
    if document.quick:
        yield from paragraph("**This is from a smoke run: its figures mean nothing.**")
    yield from paragraph(
        "Which entry goes when the cache in memory is full, and what does it cost to know? Written",
        f"by `nox -s eviction` on {facts.date}, in {document.seconds / 60:.0f} minutes. Machine:",
        f"{facts.cores} cores ({facts.processor}), {facts.memory_gb} GB, load {facts.load:.1f}",
        f"before and {document.load_after:.1f} after. Versions: {facts.system}, {facts.python},",
        f"{versions}. Ratios hold within a run; absolute figures change from machine to machine.",
        "All figures are in [eviction.json](eviction.json).",
    )


def _choice(document: Document) -> Iterator[str]:
    yield "## The choice"
    yield ""
    hit, miss = document.costs
    rows = [
        [
            each.name,
            *_summary(document, SAME.get(each.name, each.name)),
            f"{hit.ratio(each.name, FLOOR.name).median:.1f}",
            f"{miss.ratio(each.name, FLOOR.name).median:.1f}",
            f"{document.footprints[each.name].bytes:.0f}",
            _milliseconds(document, each),
            _faults(document, each.name),
        ]
        for each in CONTESTANTS
    ]
    heads = ["", "mean hit ratio, %", "least share of the optimum, %", "hit, dicts"]
    heads += ["miss, dicts", "bytes", "import, ms", "probes failed"]
    yield from table(heads, rows)
    least = document.least_share(OURS.name)
    yield from paragraph(
        f"The optimal policy, which knows the future, has {100 * document.optimum():.1f} %. The",
        f"least share leaves the trace `{NO_CHANCE}` out; that of {OURS.name} is on",
        f"`{least.trace}` with {least.size:,} entries. Hits and misses are told in times of a",
        "dictionary's. Where the last column is empty no probe was made.",
        *_words(document),
    )
    yield from paragraph(*CHOICE)


def _words(document: Document) -> Iterator[str]:
    """Say where the choice is behind LRU, which everybody knows."""
    behind = [
        f"`{cell.trace}` with {cell.size:,} entries "
        f"({100 * cell.mean(OURS.name):.1f} against {100 * cell.mean(LRU.name):.1f})"
        for cell in document.cells
        if cell.mean(LRU.name) > cell.mean(OURS.name)
    ]
    if behind:
        yield f"LRU answers more than {OURS.name} here: {', '.join(behind)}."
    else:
        yield f"LRU answers more than {OURS.name} nowhere."


def _summary(document: Document, name: str) -> tuple[str, str]:
    return (
        f"{100 * document.mean(name):.1f}",
        f"{100 * document.least_share(name).share(name):.0f}",
    )


def _milliseconds(document: Document, contestant: Contestant) -> str:
    found = document.footprints[contestant.name]
    return "" if found.import_ms is None else f"{found.import_ms:.1f}"


def _faults(document: Document, name: str) -> str:
    if name not in document.probes:
        return ""
    return str(sum(found != YES for found in document.probes[name].values()))


def _ratios(document: Document) -> Iterator[str]:
    yield "## Hit ratios"
    yield ""
    yield from paragraph(
        "Per cent of the requests. Where requests are independent, the best fixed set of keys is",
        "the bound for all who do not know the future; it does not count the first request for a",
        "key, so it may be above the optimum. moka-py keeps more than it may, which helps it where",
        "there are few entries. These evict exactly as another does, and",
        "have no column of their own: "
        + ", ".join(f"{name} as {other}" for name, other in SAME.items())
        + ".",
    )
    yield f"![Hit ratio by size, for each trace]({PICTURE})"
    yield ""
    for trace in TRACES:
        yield f"- **{trace.name}**: {trace.text}"
    yield ""
    heads = ["trace", "entries", "optimum", "fixed set", *(each.name for each in RATED)]
    yield from table(heads, [_cell_row(cell) for cell in document.cells])


def _cell_row(cell: Cell) -> list[str]:
    return [
        cell.trace,
        f"{cell.size:,}",
        f"{100 * mean(cell.optimum):.1f}",
        "" if cell.fixed is None else f"{100 * cell.fixed:.1f}",
        *(f"{100 * cell.mean(each.name):.1f}" for each in RATED),
    ]


def _costs(document: Document) -> Iterator[str]:
    yield "## Costs"
    yield ""
    hit, miss = document.costs
    yield from paragraph(
        f"Nanoseconds of {HIT}, and of {MISS}, with {hit.size:,} entries whose keys are strings;",
        "and how many times as much that is as with a dictionary that is never full. The loop over",
        "the keys is contained. A policy that marks an entry, or moves it, is written out in the",
        "loop, as the cache would have it; a library is called.",
    )
    rows = [
        [name, *(each for result in (hit, miss) for each in _figures(result, name))]
        for name in hit.samples
    ]
    yield from table(["", "hit, ns", "ratio", "miss, ns", "ratio"], rows)


def _figures(result: Result, name: str) -> tuple[str, str]:
    ratio = "1" if name == FLOOR.name else spread(result.ratio(name, FLOOR.name))
    return figure(result.figure(name).median), ratio


def _footprints(document: Document) -> Iterator[str]:
    yield "## Memory and imports"
    yield ""
    yield from paragraph(
        "Bytes of resident memory for an entry, the entry itself contained and the key not, in a",
        "store that has been filled twice, in a new process; taken once. An import is that of a",
        "program that has imported anyflight already; the median of some new processes.",
    )
    rows = [
        [
            name,
            f"{found.bytes:.0f}",
            "" if found.import_ms is None else f"{found.import_ms:.1f}",
            "yes" if found.asyncio else "",
        ]
        for name, found in document.footprints.items()
    ]
    yield from table(["", "bytes", "import, ms", "loads asyncio"], rows)


def _probes(document: Document) -> Iterator[str]:
    yield "## Probes"
    yield ""
    yield from paragraph(
        "A cache must take every key that a dictionary takes, and what it drops may have a",
        "finalizer that calls back. Each probe has a process of its own; one that does not end is",
        "told as hanging.",
    )
    rows = [[probe, *(found[probe] for found in document.probes.values())] for probe in PROBES]
    yield from table(["", *document.probes], rows, left=1 + len(document.probes))


def _method(document: Document) -> Iterator[str]:
    seeds = len(document.cells[0].optimum)
    rounds = len(document.costs[0].samples[FLOOR.name])
    yield "## Method"
    yield ""
    yield from paragraph(
        f"Each hit ratio is the mean over {seeds} seeds, whose figures are in the file; the first",
        "requests, which find nothing, are counted. The optimum may choose not to keep what it has",
        f"fetched. Costs are medians of {rounds} rounds in which all take part in turn, each with",
        f"the quickest of {PARTS} parts, since others may use the machine; a ratio is",
        "taken within a round, the quartiles stand in brackets. Both TinyLFUs hash by chance, so",
        "their hit ratios differ a little from run to run.",
    )
