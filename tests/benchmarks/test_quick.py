"""A smoke run: every question is measured on every back end, and the page is where it was asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from benchmarks._backends import available_backends
from benchmarks._caches import kinds_on
from benchmarks._document import Document, read
from benchmarks._loaders import loaders_on
from benchmarks._questions import QUESTIONS
from benchmarks._rivals import rivals_on
from benchmarks._tables import NAMES
from benchmarks._targets import targets_of
from benchmarks._virtual_time import BACKENDS

ROOT = Path(__file__).parents[2]
LESS_A_LOOP = ("checks", "parts")
"""Where an empty loop is taken off, which on a busy machine may be more than there was."""
IN_VIRTUAL_TIME = ("expiry", "hot_key")
CACHES = ("cache_hits", "cache_misses", "expiry")
COMPARED = ("miss", "joiners", "many_keys", "errors", "cancelled")


def run(*arguments: str) -> str:
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return process.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "made"
    run("--quick", f"--output={path}")
    return path


@pytest.fixture(scope="module")
def document(folder: Path) -> Document:
    return read(folder / "performance.json")


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_has_figures_on_every_back_end(
    document: Document, question: str, backend: str
) -> None:
    results = list(document.of(question, backend))
    assert results or (question in IN_VIRTUAL_TIME and backend not in BACKENDS)
    for result in results:
        assert result.floor in result.samples or result.size >= 1000
        for figures in result.samples.values():
            assert figures[0] is not None
            if question not in LESS_A_LOOP:
                assert all(each is None or each > 0 for each in figures)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("question", COMPARED)
def test_every_rival_has_its_row_beside_the_floor(
    document: Document, question: str, backend: str
) -> None:
    for result in document.of(question, backend):
        names = [rival.name for rival in rivals_on(backend)]
        assert list(result.samples) == [result.floor, *names]
        assert names[0] == "anyflight"


@pytest.mark.parametrize("backend", available_backends())
def test_every_loader_has_its_row_beside_the_floor(document: Document, backend: str) -> None:
    for result in document.of("batches", backend):
        assert list(result.samples) == [result.floor, *(each.name for each in loaders_on(backend))]
        assert set(result.notes.values()) == {""}, "not as many batches as expected"


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("question", CACHES)
def test_every_cache_has_its_row_beside_the_floor(
    document: Document, question: str, backend: str
) -> None:
    for result in document.of(question, backend):
        assert list(result.samples) == [result.floor, *(each.name for each in kinds_on(backend))]


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_hot_key_that_expires_is_loaded_once(document: Document, backend: str) -> None:
    results = list(document.of("expiry", backend))
    assert [result.figure("ReadThroughCache").median for result in results] == [1, 1, 1]


def test_only_what_does_not_share_is_noted_where_all_share(document: Document) -> None:
    for result in document.of("joiners"):
        assert result.notes == {"raw call": f"{result.size:,} executions"}


def test_a_landing_is_told_for_each_measurement_of_the_most_joiners(document: Document) -> None:
    for backend in available_backends():
        *_, joining, landing = document.of("joiners", backend)
        assert (joining.unit, landing.unit) == ("µs", "ms")
        for name, figures in landing.samples.items():
            sat_out = [each is None for each in figures]
            assert sat_out == [each is None for each in joining.samples[name]]


def test_the_page_has_every_target_question_and_case(folder: Path, document: Document) -> None:
    page = (folder / "performance.md").read_text(encoding="utf-8")
    for target in targets_of(document):
        assert f"| {target.name} |" in page
    for question in QUESTIONS.values():
        assert f"## {question.title}\n" in page
    for result in document.results:
        if result.question != "scale":
            for name in result.samples:
                assert f"| {name} " in page
    for backend in available_backends():
        assert NAMES[backend] in page
    assert "its figures mean nothing" in page


def test_the_picture_is_written_in_both_formats(folder: Path) -> None:
    with Image.open(folder / "pictures" / "scale.png") as image:
        image.verify()
    ET.parse(folder / "pictures" / "scale.svg")


def test_the_page_can_be_made_again_without_measuring(folder: Path) -> None:
    page = folder / "performance.md"
    before = page.read_bytes()
    page.unlink()
    run("--rebuild", f"--output={folder}")
    assert page.read_bytes() == before


def test_one_question_is_printed_and_nothing_is_written(tmp_path: Path) -> None:
    printed = run("--quick", "--backend=trio", f"--output={tmp_path / 'never'}", "checks")
    assert printed.startswith("| checks of a call | Trio, µs | ratio |")
    assert not (tmp_path / "never").exists()
