"""The commands: each prints what it did and returns whether all was well."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import islice, product
from time import perf_counter
from typing import Any

from proof.backends import BACKENDS
from proof.checking import check
from proof.checkpoints import in_the_way, strike_all, ways_on
from proof.jobs import in_jobs
from proof.planting import find
from proof.search import failures, timeline
from proof.shrink import brief
from proof.soak import Load, report, soak
from proof.subjects import SUBJECTS
from proof.watchdog import Watchdog

PATIENCE = 60.0
"""Seconds of real time that one program may take; it takes milliseconds."""

MOST_FAILURES = 5
"""After so many, a back end's search ends."""

MOST_SEEDS = 1000
"""With so many, a planted fault must be found."""


def model(options: Namespace) -> bool:
    """Run the flight table against its model."""
    # Imported here: it loads Hypothesis, which makes Trio's schedules its own.
    from proof.model import run_model  # noqa: PLC0415

    steps = run_model(options.steps)
    print(f"model: {steps:,} steps of the flight table, each as the model says")
    return True


def programs(options: Namespace) -> bool:
    """Run random programs."""
    if options.jobs > 1:
        return in_jobs(options)
    good = True
    for of, backend in _cases(options):
        make = SUBJECTS[of].random_program
        start = perf_counter()
        seeds = range(options.first, options.first + options.seeds)
        with Watchdog(PATIENCE) as watchdog:
            watched = _watched(seeds, watchdog, f"{of} on {backend}, seed")
            found = list(islice(failures(backend, watched, make), MOST_FAILURES))
        print(
            f"programs: seeds {seeds.start} to {seeds.stop - 1} of the {of} on {backend}: "
            f"{len(found)} failed ({perf_counter() - start:.1f} s)"
        )
        for failure in found:
            print(failure)
            if options.show:
                print(failure.at_length())
        if options.show and not found:
            _show(make(options.first), backend, options.first)
        good = good and not found
    return good


def _show(program: Any, backend: str, seed: int) -> None:
    history, _ = check(program, backend=backend, seed=seed)
    print(brief(program), *timeline(history), sep="\n")


def checkpoints(options: Namespace) -> bool:
    """Cancel somebody at each step of each scenario."""
    good = True
    for of, backend in _cases(options):
        scenarios = SUBJECTS[of].scenarios
        if not scenarios:
            continue
        own = () if backend == "trio" else (None,)  # asyncio's own order; Trio has none
        cases = product((*own, *range(options.schedules)), scenarios, ways_on(backend))
        start, strikes = perf_counter(), 0
        with Watchdog(PATIENCE) as watchdog:
            for schedule, name, way in cases:
                case = f"{name}, {way}, on {backend}, schedule {schedule}"
                watchdog.feed(case)
                program = in_the_way(scenarios[name], way)
                for strike, found in strike_all(program, backend=backend, seed=schedule):
                    strikes += 1
                    good = good and not found
                    for each in found:
                        print(f"{case}, {strike}: {each}")
        print(
            f"checkpoints: {strikes:,} cancellations in {len(scenarios)} scenarios of the {of} on "
            f"{backend} ({perf_counter() - start:.1f} s)"
        )
    return good


def faults(options: Namespace) -> bool:
    """Plant faults, and look for them."""
    good = True
    for of, backend in _cases(options):
        for fault in SUBJECTS[of].faults:
            with Watchdog(PATIENCE) as watchdog:
                seeds = _watched(range(MOST_SEEDS), watchdog, fault.name)
                found = find(fault, backend, seeds, SUBJECTS[of].random_program)
            good = good and found is not None
            where = "NOT FOUND" if found is None else f"found by seed {found.seed}"
            print(f"faults: {fault.name} (law {fault.law}): {where} on {backend}")
    return good


def soaks(options: Namespace) -> bool:
    """Make many calls, and look at the memory."""
    good = True
    for backend in _backends(options, not_this="eager"):
        keys = options.keys or max(1, options.calls // 10)
        one = soak(Load(calls=options.calls, keys=keys, backend=backend))
        print(f"soak: {options.calls:,} calls over {keys:,} keys on {backend}")
        print(report(one))
        for finding in one.findings():
            good = False
            print(f"soak: {finding}")
    return good


def _cases(options: Namespace) -> Iterator[tuple[str, str]]:
    """Yield what is asked for: the name of a subject, and a back end where that can be run."""
    for of in SUBJECTS if options.of is None else (options.of,):
        for backend in _backends(options):
            if backend in SUBJECTS[of].backends:
                yield of, backend


def _backends(options: Namespace, *, not_this: str = "") -> list[str]:
    chosen = BACKENDS if options.backend is None else (options.backend,)
    return [backend for backend in chosen if backend != not_this]


def _watched(seeds: Iterable[int], watchdog: Watchdog, doing: str) -> Iterator[int]:
    for seed in seeds:
        watchdog.feed(f"{doing} {seed}")
        yield seed
