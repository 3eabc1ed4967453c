"""The command `python -m benchmarks`: measure, and write the page, its figures and its picture."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks import _caches, _loaders
from benchmarks._backends import available_backends, run_on
from benchmarks._caches import NOT_AMONG_RIVALS
from benchmarks._document import Document, read, write
from benchmarks._environment import current_load, describe_environment
from benchmarks._loaders import LOADERS
from benchmarks._measure import Plan, Result
from benchmarks._page import page_of
from benchmarks._questions import QUESTIONS
from benchmarks._rivals import RIVALS, Rival, Verdict, check_cancel_safety
from benchmarks._tables import tables_of

LARGEST = 1_000_000
COMPARED: tuple[Rival, ...] = (
    *RIVALS,
    *map(_loaders.as_rival, LOADERS),
    *map(_caches.as_rival, NOT_AMONG_RIVALS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command is asked to do."""

    questions: list[str]
    backend: list[str]
    quick: bool
    largest: int
    output: Path
    rebuild: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parse_options(arguments)
    figures = options.output / "performance.json"
    document = read(figures) if options.rebuild else measure_all(options)
    if options.questions:
        for name in options.questions:
            print("\n".join(tables_of(document, name)))
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    write(document, figures)
    document = read(figures)  # rounded: the page is what its figures say
    page = options.output / "performance.md"
    page.write_text(page_of(document), encoding="utf-8")
    # Not before the measurements: matplotlib is large.
    from benchmarks._picture import draw  # noqa: PLC0415

    for path in (figures, page, *draw(document, options.output / "pictures")):
        print(f"Wrote {path}")
    return 0


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; a wrong value exits with status 2 and says what is allowed."""
    backends = available_backends()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what a call costs, and write the page about it.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "questions",
        nargs="*",
        metavar="question",
        help=f"only these, printed: {', '.join(QUESTIONS)}",
    )
    add("--backend", action="append", choices=backends, help="only this; may be repeated")
    add("--quick", action="store_true", help="a smoke run; its figures mean nothing")
    add("--largest", type=int, default=LARGEST, help="the most calls in flight (1000000)")
    add("--output", type=Path, default=Path("docs"), help="the folder for page and picture (docs)")
    add("--rebuild", action="store_true", help="write the page again from its JSON file")
    given = parser.parse_args(arguments)
    unknown = set(given.questions) - set(QUESTIONS)
    if unknown:
        parser.error(f"no such question: {', '.join(sorted(unknown))}")
    given.backend = given.backend or list(backends)
    return Options(**vars(given))


def _command(options: Options) -> str:
    """Return the command that measures the same."""
    given = [*options.questions]
    if options.backend != list(available_backends()):
        given += [f"--backend {each}" for each in options.backend]
    if options.quick:
        given.append("--quick")
    if options.largest != LARGEST:
        given.append(f"--largest {options.largest}")
    return " ".join(["nox -s bench", *(["--", *given] if given else [])])


def measure_all(options: Options) -> Document:
    """Measure every question on every back end."""
    # A task or future whose error nobody takes is a rival's business, and none of the reader's.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
    began = perf_counter()
    environment = describe_environment(rival.package for rival in COMPARED if rival.package)
    # What importing has made takes no part in the collections during a measurement.
    gc.collect()
    gc.freeze()
    verdicts: dict[str, dict[str, Verdict]] = {}
    results: list[Result] = []
    for backend in options.backend:
        verdicts[backend] = run_on(backend, _check_all, backend)
        unsafe = frozenset(name for name, verdict in verdicts[backend].items() if not verdict.safe)
        plan = Plan(backend=backend, quick=options.quick, largest=options.largest, unsafe=unsafe)
        for name in options.questions or QUESTIONS:
            print(
                f"{perf_counter() - began:4.0f} s  {backend}: {QUESTIONS[name].title}",
                file=sys.stderr,
            )
            results += run_on(backend, QUESTIONS[name].run, plan)
    return Document(
        environment=environment,
        command=_command(options),
        quick=options.quick,
        seconds=round(perf_counter() - began),
        load_after=current_load(),
        backends=tuple(options.backend),
        verdicts=verdicts,
        results=tuple(results),
    )


async def _check_all(backend: str) -> dict[str, Verdict]:
    return {
        rival.name: await check_cancel_safety(rival, backend)
        for rival in COMPARED
        if backend in rival.backends
    }


if __name__ == "__main__":
    sys.exit(main())
