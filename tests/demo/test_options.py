"""Wrong values are refused before anything starts, and the message says what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.options import MAX_POOL, Options, parse_options


def test_without_arguments_the_defaults_apply() -> None:
    assert parse_options([]) == Options()


def test_each_value_can_be_given(tmp_path: Path) -> None:
    given = parse_options(
        f"--backend trio --rate 100 --query-ms 2.5 --row-ms 0 --pool 3 --hot 0 --seed 7 "
        f"--seconds 1.5 --output {tmp_path / 'new' / 'folder'}".split()
    )
    assert given == Options(
        backend="trio",
        rate=100,
        query_ms=2.5,
        row_ms=0,
        pool=3,
        hot=0,
        seed=7,
        seconds=1.5,
        output=tmp_path / "new" / "folder",
    )


@pytest.mark.parametrize("flag", ["--rate", "--query-ms", "--seconds"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "many"])
def test_what_must_be_positive_is_refused_otherwise(
    capsys: pytest.CaptureFixture[str], flag: str, value: str
) -> None:
    assert_refused(capsys, flag, value, "must be a finite number above 0")


@pytest.mark.parametrize("value", ["-0.1", "nan", "inf", "none"])
def test_a_delay_of_a_row_below_0_is_refused(
    capsys: pytest.CaptureFixture[str], value: str
) -> None:
    assert_refused(capsys, "--row-ms", value, "must be a finite number from 0 up")


@pytest.mark.parametrize("value", ["-0.1", "1.1", "nan", "inf", "most"])
def test_a_fraction_outside_of_0_to_1_is_refused(
    capsys: pytest.CaptureFixture[str], value: str
) -> None:
    assert_refused(capsys, "--hot", value, "must be a number from 0 to 1")


@pytest.mark.parametrize("value", ["0", "-3", "1.5", "nan", str(MAX_POOL + 1)])
def test_a_pool_that_the_server_does_not_allow_is_refused(
    capsys: pytest.CaptureFixture[str], value: str
) -> None:
    assert_refused(capsys, "--pool", value, f"must be a whole number from 1 to {MAX_POOL}")


@pytest.mark.parametrize("value", ["-1", "0.5", "lucky"])
def test_a_seed_that_is_no_whole_number_is_refused(
    capsys: pytest.CaptureFixture[str], value: str
) -> None:
    assert_refused(capsys, "--seed", value, "must be a whole number from 0 up")


def test_an_unknown_backend_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(capsys, "--backend=curio")
    assert "'curio'" in message
    assert "asyncio" in message
    assert "trio" in message


def test_an_output_that_is_a_file_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.touch()
    assert_refused(capsys, "--output", str(path), "must be a folder")
    assert_refused(capsys, "--output", str(path / "below"), "must be a folder")


def test_a_spike_with_too_few_requests_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(capsys, "--rate=10", "--seconds=1")
    assert "at least 20 requests, got 10/s for 1 s, which is 10" in message


def test_an_abbreviated_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--sec" in refusal(capsys, "--sec=1")


def assert_refused(capsys: pytest.CaptureFixture[str], flag: str, value: str, allowed: str) -> None:
    message = refusal(capsys, f"{flag}={value}")
    assert f"argument {flag}: {allowed}" in message
    assert message.endswith(f"got {value!r}\n")


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        parse_options(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err
