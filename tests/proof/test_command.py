"""The command says what it did, and its exit status whether all was well."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase

from proof import commands
from proof.__main__ import EVERYTHING, main
from proof.faults import FAULTS
from proof.model import run_model
from proof.scenarios import SCENARIOS
from proof.watchdog import HUNG


def test_random_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["programs", "--seeds", "3", "--from", "5", "--backend", "trio"]) == 0
    assert "programs: seeds 5 to 7 of the loader on trio: 0 failed" in capsys.readouterr().out


def test_several_processes_share_the_seeds(capfd: pytest.CaptureFixture[str]) -> None:
    command = ["programs", "--of", "lease", "--backend", "trio", "--from", "5", "--seeds", "5"]
    assert main([*command, "--jobs", "2"]) == 0
    lines = sorted(capfd.readouterr().out.splitlines())
    assert [line.split(" of ")[0] for line in lines] == [
        "programs: seeds 5 to 6",
        "programs: seeds 7 to 9",
    ]


def test_no_more_processes_share_the_seeds_than_there_are(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["programs", "--of", "lease", "--seeds", "1", "--jobs", "3"]) == 0
    assert capfd.readouterr().out.startswith("programs: seeds 0 to 0 of the lease on trio")


def test_a_program_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["programs", "--of", "coalescer", "--seeds", "1", "--backend", "asyncio", "--show"])
        == 0
    )
    out = capsys.readouterr().out
    assert "Program(calls=(Call(" in out
    assert "the owner is gone" in out


def test_what_fails_is_said_with_the_command_that_replays_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FAULTS[0].planted():
        assert main(["programs", "--of", "coalescer", "--seeds", "100", "--backend", "trio"]) == 1
    assert "replay it: nox -s prove -- programs --of coalescer --from " in capsys.readouterr().out


def test_checkpoints(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(commands.SUBJECTS["coalescer"], scenarios={"miss": SCENARIOS["miss"]})
    monkeypatch.setitem(commands.SUBJECTS, "coalescer", one)
    command = ["checkpoints", "--of", "coalescer", "--backend", "asyncio", "--schedules", "1"]
    assert main(command) == 0
    assert "cancellations in 1 scenarios of the coalescer on asyncio" in capsys.readouterr().out
    (fault,) = (each for each in FAULTS if "though everybody has left" in each.name)
    with fault.planted():
        assert main(command) == 1
    assert "miss, scope, on asyncio, schedule 0, caller 0 before step" in capsys.readouterr().out


def test_faults(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(commands.SUBJECTS["coalescer"], faults=FAULTS[4:5])
    monkeypatch.setitem(commands.SUBJECTS, "coalescer", one)
    assert main(["faults", "--of", "coalescer", "--backend", "asyncio"]) == 0
    assert "found by seed" in capsys.readouterr().out


def test_a_soak(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["soak", "--calls", "2000", "--keys", "50", "--backend", "asyncio"]) == 0
    assert "soak: 2,000 calls over 50 keys on asyncio" in capsys.readouterr().out


def test_without_a_command_everything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    for name in ("model", "programs", "checkpoints", "faults", "soaks"):
        monkeypatch.setattr(commands, name, lambda _options, name=name: not ran.append(name))
    assert main([]) == 0
    assert len(ran) == len(EVERYTHING)


def test_what_one_part_finds_does_not_keep_the_others_from_running(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def model(_options: object) -> bool:
        raise AssertionError("not as the model says")

    ran: list[str] = []
    monkeypatch.setattr(commands, "model", model)
    for name in ("programs", "checkpoints", "faults", "soaks"):
        monkeypatch.setattr(commands, name, lambda _options, name=name: not ran.append(name))
    assert main([]) == 1
    assert len(ran) == len(EVERYTHING) - 1
    assert "not as the model says" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["0", "-1", "many"])
def test_a_wrong_number_is_refused(wrong: str) -> None:
    with pytest.raises(SystemExit):
        main(["programs", "--seeds", wrong])


def test_the_model_makes_as_many_steps_as_are_asked_for() -> None:
    assert run_model(300) >= 300


def test_the_model_finds_a_planted_fault() -> None:
    with FAULTS[0].planted(), pytest.raises(AssertionError):
        run_model(20_000, phases=[Phase.generate])


def test_what_hangs_in_real_time_is_ended_and_named() -> None:
    code = (
        "from proof.watchdog import Watchdog\n"
        "with Watchdog(0.2) as watchdog:\n"
        "    watchdog.feed('seed 7 on trio')\n"
        "    while True: pass\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == HUNG
    assert "seed 7 on trio" in run.stderr
