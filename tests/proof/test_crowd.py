"""Many processes of a lease do what the formulas say, in the simulation that says so elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from proof.__main__ import main
from proof.lease import crowd_command, crowd_figures
from proof.lease.crowd import Crowd, Observed, observe
from proof.lease.crowd_figures import COMMON, crowds, tables
from proof.lease.crowd_picture import draw
from proof.lease.crowd_theory import expected

SMALL = Crowd(processes=5, rate=400.0, seconds=0.05, lasts=3.0)


@pytest.mark.parametrize("leased", [True, False])
def test_a_small_crowd_does_what_the_formulas_say(leased: bool) -> None:
    crowd = replace(SMALL, leased=leased)
    seen, theory = observe(crowd), expected(crowd)
    assert seen.executions == pytest.approx(theory.executions, rel=0.1)
    assert seen.requests == pytest.approx(theory.requests, rel=0.1)
    assert seen.messages == pytest.approx(theory.messages, rel=0.1)


def test_the_same_crowd_is_observed_again() -> None:
    crowd = replace(SMALL, lasts=1.0)
    assert observe(crowd) == observe(crowd)


def test_without_messages_calls_wait_for_polls_and_work_is_not_done_more_often() -> None:
    heard = observe(replace(SMALL, poll_interval=0.4))
    deaf = observe(replace(SMALL, poll_interval=0.4, lost_messages=1.0))
    assert deaf.messages == 0
    assert heard.mean_latency < 0.05
    assert 0.1 < deaf.mean_latency < 0.4 + 0.05
    assert deaf.p99_latency < 0.4 + 0.05
    assert deaf.executions <= heard.executions
    assert deaf.requests < heard.requests


def as_expected(crowd: Crowd) -> Observed:
    theory = expected(crowd)
    return Observed(
        executions=theory.executions,
        requests=theory.requests,
        messages=theory.messages,
        latencies=[crowd.seconds] * 2,
    )


def test_the_tables_and_the_picture_have_a_place_for_each_crowd(tmp_path: Path) -> None:
    seen = {crowd: as_expected(crowd) for crowd in crowds(10.0)}
    text = tables(seen, 10.0)
    assert "| 1,000 | 952 | 952 | 19.4 | 19.4 |" in text
    assert "| 10 | 9.95 | 9.95 | 6.64 | 6.64 |" in text
    assert "| 100 % | 0.05 s |" in text
    draw(seen, 10.0, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fleet-size.png", "fleet-size.svg"]


def test_the_page_has_the_tables_that_the_command_writes() -> None:
    page = crowd_command.PAGE.read_text(encoding="utf-8")
    shown = page.partition(crowd_command.BEGIN)[2].partition(crowd_command.END)[0]
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    seen = {crowd: as_expected(crowd) for crowd in crowds(10.0)}
    made = [line for line in tables(seen, 10.0).splitlines() if line.startswith("|")]
    assert [row.split("|")[1] for row in rows] == [row.split("|")[1] for row in made]


def test_the_command_prints_and_writes_what_it_has_seen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(crowd_figures, "COMMON", replace(COMMON, processes=2, rate=100.0))
    monkeypatch.setattr(crowd_figures, "PROCESSES", (1, 2))
    monkeypatch.setattr(crowd_figures, "RATES", (100.0,))
    monkeypatch.setattr(crowd_figures, "WAITING", ((0.0, 1.0),))
    assert main(["crowd", "--seconds", "1"]) == 0
    assert "crowd: 4 crowds" in capsys.readouterr().out

    page = tmp_path / "page.md"
    page.write_text(f"before\n{crowd_command.BEGIN}old\n{crowd_command.END}after\n")
    (tmp_path / "pictures").mkdir()
    monkeypatch.setattr(crowd_command, "PAGE", page)
    monkeypatch.setattr(crowd_command, "DOCS", tmp_path)
    monkeypatch.setattr("proof.lease.crowd_picture.draw", lambda *_: None)
    assert main(["crowd", "--seconds", "1", "--write"]) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| N | each for itself: executions |" in text
    assert "old" not in text
