"""The command, from its arguments to its files and its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from demo import measure
from demo.__main__ import main
from demo.schema import expected_user
from demo.strategies import STRATEGIES
from demo.traffic import HOT_USER
from examples.user_service.user import User

ROOT = Path(__file__).parents[2]
BACKENDS = ("asyncio", "trio")
SMALL = ("--rate=300", "--seconds=0.3", "--query-ms=2", "--pool=3")


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},  # the output is followed while it runs
    )


def test_a_small_run_writes_consistent_figures_and_both_pictures(tmp_path: Path) -> None:
    # Side by side, for most of a run is waiting.
    runs = {
        backend: start(*SMALL, f"--backend={backend}", f"--output={tmp_path / backend}")
        for backend in BACKENDS
    }
    for backend, process in runs.items():
        with process:
            output, errors = process.communicate()
        assert process.returncode == 0, errors
        assert "Queries/s" in output
        assert_written(tmp_path / backend, backend)


def assert_written(folder: Path, backend: str) -> None:
    assert_consistent(json.loads((folder / "impact.json").read_text()), backend)
    with Image.open(folder / "impact.png") as image:
        image.verify()
    ET.parse(folder / "impact.svg")
    assert (folder / "impact.md").read_text().startswith("| during the spike |")


def assert_consistent(document: dict[str, Any], backend: str) -> None:
    assert document["options"]["backend"] == backend
    assert document["environment"]["backend"].startswith(backend)
    runs = document["runs"]
    assert list(runs) == [strategy.name for strategy in STRATEGIES]
    for run in runs.values():
        assert run["requests"] == document["trace"]["arrivals"]
        assert run["server_queries"] == run["client_queries"]
        assert 0 < run["spike_queries"] <= run["spike_requests"] <= run["requests"]
        assert run["queries_per_second"] == pytest.approx(run["spike_queries"] / 0.3)
        assert 0 < run["p50_ms"] <= run["p95_ms"] <= run["p99_ms"]
        assert run["pool_utilisation"] > 0
        assert (run["error_rate"], run["errors"]) == (0, {})
        assert all(one[0] < other[0] for one, other in pairwise(run["queries_series"]))
        assert run["server_queries"] <= run["requests"]
        assert run["rows_per_query"] == 1 or run is runs["batched"]
        fetched = run["popular"]["per_second"] + run["others"]["per_second"]
        assert fetched <= run["spike_requests"] / 0.3
    direct = runs["direct"]
    assert direct["server_queries"] == direct["requests"]  # one query each, when none is shared
    assert runs["batched"]["rows_per_query"] >= 1


def test_one_wrong_answer_makes_the_command_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def expect_another(user_id: int) -> User:
        return expected_user(user_id + (user_id == HOT_USER))

    monkeypatch.setattr(measure, "expected_user", expect_another)
    assert main([*SMALL, f"--output={tmp_path / 'never'}"]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: wrong answer for user {HOT_USER}: expected User(")
    assert message.count("\n") == 1
    assert not (tmp_path / "never").exists()


def test_ctrl_c_ends_with_a_message_and_by_its_signal(tmp_path: Path) -> None:
    runs = [start(f"--backend={backend}", f"--output={tmp_path}") for backend in BACKENDS]
    for process in runs:
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            while not process.stdout.readline().startswith("Without coalescing"):
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            message = process.stderr.read()
        assert process.returncode == -signal.SIGINT  # which shells report as 130
        assert message == "interrupted: the server is stopped and its folder is gone\n"
