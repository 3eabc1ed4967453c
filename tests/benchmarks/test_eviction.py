"""The policies and the optimum are what they are said to be, and the page is where it was asked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.eviction.hit_ratios import hits_of
from benchmarks.eviction.optimum import fixed_set_ratio, optimal_hits
from benchmarks.eviction.policies import Clock, Entry, Fifo, Lru, S3Fifo, Sieve
from benchmarks.eviction.traces import TRACES, Trace

ROOT = Path(__file__).parents[2]
POLICIES = (Fifo, Lru, Clock, Sieve, S3Fifo)
Policy = Callable[[int], Fifo | Lru | Clock | Sieve | S3Fifo]
# A child process each: theine starts a thread when it is imported, and that is to end.
SAME = """
from random import Random
from benchmarks.eviction.contestants import OPEN, SAME
from benchmarks.eviction.hit_ratios import hits_of
from benchmarks.eviction.traces import TRACES
for trace in TRACES:
    keys = trace.make(Random(5), 3000)
    for name, other in SAME.items():
        one, two = (hits_of(OPEN[each](50), keys) for each in (name, other))
        assert one == two, (trace.name, name, one, other, two)
"""
WRITTEN_OUT = """
from random import Random
from benchmarks.eviction.contestants import CONTESTANTS
from benchmarks.eviction.costs import LOOPS, HIT, SETUP
from benchmarks.eviction.hit_ratios import hits_of
from benchmarks.eviction.policies import Entry
from benchmarks.eviction.traces import TRACES
trace = TRACES[2].make(Random(5), 3000)
for each in CONTESTANTS:
    if "TinyLFU" in each.name:  # by chance: no two runs of these are the same
        continue
    names = {"store": each.open(50), "misses": 0, "Entry": Entry, "asked": trace}
    body = LOOPS[HIT].format(names["store"])
    exec(SETUP + body + "    else:\\n        put(key, Entry()); misses += 1\\n", names)
    assert len(trace) - names["misses"] == hits_of(each.open(50), trace), each.name
"""


def run(*arguments: str) -> str:
    process = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return process.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("eviction") / "made"
    run("-m", "benchmarks.eviction", "--quick", f"--output={path}")
    return path


def most_hits(trace: Sequence[int], size: int, kept: frozenset[int] = frozenset()) -> int:
    """Try every choice of what to keep."""
    if not trace:
        return 0
    key, rest = trace[0], trace[1:]
    held = kept | {key}
    choices: Iterable[tuple[int, ...]] = [tuple(held)]
    if len(held) > size:
        choices = combinations(held, size)
    return (key in kept) + max(most_hits(rest, size, frozenset(each)) for each in choices)


@given(st.lists(st.integers(0, 4), max_size=9), st.integers(1, 3))
@settings(max_examples=60)
def test_the_optimum_is_the_best_of_all_choices(trace: list[int], size: int) -> None:
    assert optimal_hits(trace, size) == most_hits(trace, size)


@pytest.mark.parametrize("policy", POLICIES)
@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 6))
@settings(max_examples=60)
def test_no_policy_keeps_more_than_it_may_or_beats_the_optimum(
    policy: Policy, trace: list[int], size: int
) -> None:
    store = policy(size)
    assert hits_of(store, trace) <= optimal_hits(trace, size)
    kept = [key for key in range(10) if store.get(key) is not None]
    assert len(kept) == min(size, len(set(trace)))


@pytest.mark.parametrize(
    ("policy", "left"),
    [(Fifo, "bcd"), (Lru, "acd"), (Clock, "acd"), (Sieve, "acd"), (S3Fifo, "acd")],
)
def test_what_was_used_stays_except_with_fifo(policy: Policy, left: str) -> None:
    store = policy(3)
    for key in "abc":
        store.put(key, Entry())
    used = store.get("a")
    assert used is not None
    store.touch("a", used)
    store.put("d", Entry())
    assert [key for key in "abcd" if store.get(key) is not None] == list(left)


def test_a_key_that_comes_back_soon_goes_to_the_main_queue() -> None:
    store = S3Fifo(10)
    for key in range(11):  # the first is evicted, and remembered
        store.put(key, Entry())
    assert store.get(0) is None
    store.put(0, Entry())
    for key in range(100, 200):  # a scan
        store.put(key, Entry())
    assert store.get(0) is not None


def test_the_best_fixed_set_is_made_of_the_likeliest() -> None:
    assert fixed_set_ratio([0.1, 0.5, 0.4], 2) == pytest.approx(0.9)


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_a_trace_is_the_same_in_each_run(trace: Trace) -> None:
    one, again, other = (trace.make(Random(seed), 400) for seed in (1, 1, 2))
    assert one == again
    assert len(one) >= 400
    assert (one == other) == (trace.name == "loop")


def test_who_is_said_to_evict_as_another_does() -> None:
    run("-c", SAME)


def test_what_is_timed_notes_hits_as_what_is_counted() -> None:
    run("-c", WRITTEN_OUT)


def test_the_page_has_every_contestant_trace_and_probe(folder: Path) -> None:
    page = (folder / "eviction.md").read_text(encoding="utf-8")
    found = json.loads((folder / "eviction.json").read_text(encoding="utf-8"))
    assert "its figures mean nothing" in page
    for name in found["footprints"]:
        assert f"| {name} |" in page
    for cell in found["cells"]:
        assert f"| {cell['trace']} | {cell['size']:,} |" in page
    for probes in found["probes"].values():
        assert set(probes.values()) == {"yes"}
        for probe in probes:
            assert f"| {probe} |" in page


def test_the_picture_is_written_in_both_formats(folder: Path) -> None:
    with Image.open(folder / "pictures" / "eviction.png") as image:
        image.verify()
    ET.parse(folder / "pictures" / "eviction.svg")


def test_the_page_can_be_made_again_without_measuring(folder: Path) -> None:
    page = folder / "eviction.md"
    before = page.read_bytes()
    page.unlink()
    run("-m", "benchmarks.eviction", "--rebuild", f"--output={folder}")
    assert page.read_bytes() == before
