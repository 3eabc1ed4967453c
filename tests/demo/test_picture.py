"""The picture is written in both formats, and nothing in it covers anything else."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from demo.picture import compose, draw
from demo.strategies import STRATEGIES
from demo.table import number
from tests.demo.samples import comparison


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture")
    draw(comparison(), path)
    return path


def test_the_png_is_sharp_at_900_pixels(folder: Path) -> None:
    with Image.open(folder / "impact.png") as image:
        image.load()
        assert image.size == (1800, 1200)


def test_the_png_has_an_opaque_white_background(folder: Path) -> None:
    with Image.open(folder / "impact.png") as image:
        assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_the_svg_parses(folder: Path) -> None:
    root = ET.parse(folder / "impact.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_equal_figures_give_an_equal_file(folder: Path, tmp_path: Path) -> None:
    draw(comparison(), tmp_path)
    for name in ("impact.png", "impact.svg"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_the_texts_lie_inside_of_the_picture_and_apart() -> None:
    figure = compose(comparison())
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    boxes = [each.get_window_extent() for each in (*texts, *figure.axes)]
    assert all(figure.bbox.contains(*corner) for box in boxes for corner in box.corners())
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_each_run_has_its_figures_beside_the_panels() -> None:
    latency, queries = compose(comparison()).axes
    for strategy in STRATEGIES:
        run = comparison().runs[strategy.name]
        for axes, value in ((latency, run.p99_ms), (queries, run.queries_per_second)):
            texts = [text.get_text() for text in axes.texts]
            assert texts[texts.index(strategy.short) + 1] == number(value)


def test_a_run_too_short_for_two_readings_of_the_counter_can_be_drawn() -> None:
    given = comparison()
    for name, run in given.runs.items():
        compose(replace(given, runs={**given.runs, name: replace(run, queries_series=())}))
