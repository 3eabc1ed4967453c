"""The command `python -m benchmarks.eviction`: measure, and write page, figures and picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks._environment import current_load, describe_environment
from benchmarks.eviction import costs, footprints, hit_ratios, probes
from benchmarks.eviction._document import Document, read, write
from benchmarks.eviction._page import page_of
from benchmarks.eviction.contestants import CONTESTANTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command is asked to do."""

    quick: bool
    output: Path
    rebuild: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parse_options(arguments)
    figures = options.output / "eviction.json"
    document = read(figures) if options.rebuild else measure_all(quick=options.quick)
    options.output.mkdir(parents=True, exist_ok=True)
    write(document, figures)
    document = read(figures)  # rounded: the page is what its figures say
    page = options.output / "eviction.md"
    page.write_text(page_of(document), encoding="utf-8")
    # Not before the measurements: matplotlib is large.
    from benchmarks.eviction._picture import draw  # noqa: PLC0415

    for path in (figures, page, *draw(document, options.output / "pictures")):
        print(f"Wrote {path}")
    return 0


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.eviction",
        description="Measure what bounds the cache in memory, and write the page about it.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a smoke run; its figures mean nothing")
    add("--output", type=Path, default=Path("docs"), help="the folder for page and picture (docs)")
    add("--rebuild", action="store_true", help="write the page again from its JSON file")
    return Options(**vars(parser.parse_args(arguments)))


def measure_all(*, quick: bool) -> Document:
    """Measure every question."""
    began = perf_counter()
    environment = describe_environment(each.package for each in CONTESTANTS if each.package)
    # Costs first: what comes later leaves much behind in memory.
    measured = costs.run(quick=quick)
    taken = footprints.run(quick=quick)
    found = probes.run(quick=quick)
    cells = hit_ratios.run(quick=quick)
    return Document(
        environment=environment,
        quick=quick,
        seconds=round(perf_counter() - began),
        load_after=current_load(),
        cells=cells,
        costs=measured,
        footprints=taken,
        probes=found,
    )


if __name__ == "__main__":
    sys.exit(main())
