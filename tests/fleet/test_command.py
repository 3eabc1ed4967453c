"""A smoke run of the command: everything is measured once, and written where it was asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from fleet.compare import KILLED
from fleet.document import Document, read
from fleet.figures import Load
from fleet.picture import compose
from fleet.plan import QUICK
from fleet.strategies import LEASE, LOCAL, STRATEGIES

ROOT = Path(__file__).parents[2]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fleet", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},  # the output is followed while it runs
    )


def run(*arguments: str) -> str:
    with start(*arguments) as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet") / "made"
    assert "Bursts: 20 calls" in run("--quick", f"--output={path}")
    return path


@pytest.fixture(scope="module")
def document(folder: Path) -> Document:
    return read(folder / "fleet.json")


def assert_consistent(load: Load, name: str) -> None:
    assert 0 < load.queries <= load.calls
    assert 0 < load.p50_ms <= load.p99_ms
    assert not load.errors
    if name == LOCAL.name:
        assert load.sent == load.inside == 0
    else:
        assert load.sent > 0
        assert load.inside > 0


def test_every_strategy_has_consistent_figures(document: Document) -> None:
    assert [cell.strategy for cell in document.cells] == [each.name for each in STRATEGIES]
    for cell in document.cells:
        assert cell.processes == QUICK.processes[0]
        assert_consistent(cell.bursts.load, cell.strategy)
        assert_consistent(cell.traffic.load, cell.strategy)
        assert cell.bursts.load.calls == QUICK.burst_calls
        assert sum(cell.bursts.executions) == cell.bursts.load.queries
        assert cell.traffic.popular.theory_per_second > 0


def test_without_a_lease_each_process_executes_a_burst_once(document: Document) -> None:
    (cell,) = document.of(LOCAL.name)
    assert cell.bursts.executions == QUICK.processes * QUICK.bursts


def test_where_hardly_any_calls_overlap_a_lease_saves_nothing(document: Document) -> None:
    assert list(document.low) == [LOCAL.name, LEASE.name]
    for name, traffic in document.low.items():
        assert_consistent(traffic.load, name)
        assert traffic.load.queries == traffic.load.calls


def test_every_kill_is_told(document: Document) -> None:
    assert list(document.takeovers) == [each.name for each in KILLED]
    for takeovers in document.takeovers.values():
        assert len(takeovers) == QUICK.takeovers
        for each in takeovers:
            assert each.executions + each.not_waiting > 0
            assert (each.seconds is None) == (each.executions == 0)


def test_the_page_has_every_strategy_and_says_that_it_means_nothing(
    folder: Path, document: Document
) -> None:
    page = (folder / "fleet.md").read_text(encoding="utf-8")
    for strategy in STRATEGIES:
        assert f"\n| {strategy.name} |" in page
        assert f" | {strategy.name} |" in page
        assert f"| {strategy.package} {document.environment.packages[strategy.package]} |" in page
    assert "its figures mean nothing" in page


def test_the_picture_is_written_in_both_formats(folder: Path) -> None:
    with Image.open(folder / "pictures" / "fleet.png") as image:
        image.verify()
    ET.parse(folder / "pictures" / "fleet.svg")


def test_the_texts_lie_inside_of_the_picture_and_beside_the_panels(document: Document) -> None:
    figure = compose(document)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    (legend,) = figure.legends
    texts = [each.get_window_extent() for each in (*figure.texts, legend)]
    panels = [axes.get_tightbbox() for axes in figure.axes]
    boxes = [box for box in (*texts, *panels) if box is not None]
    assert all(figure.bbox.contains(*corner) for box in boxes for corner in box.corners())
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_the_page_can_be_made_again_without_measuring(folder: Path) -> None:
    page = folder / "fleet.md"
    before = page.read_bytes()
    page.unlink()
    run("--rebuild", f"--output={folder}")
    assert page.read_bytes() == before


def test_ctrl_c_ends_with_a_message_and_leaves_nothing(tmp_path: Path) -> None:
    with start("--quick", f"--output={tmp_path}") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not process.stdout.readline().startswith("local only"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        message = process.stderr.read()
    assert process.returncode == 130
    assert message == "interrupted: servers and workers are gone\n"
    assert not list(tmp_path.iterdir())
