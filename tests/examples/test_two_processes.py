"""Two processes share one execution, and one takes over when the other is killed."""

from __future__ import annotations

import re

import pytest

from examples.two_processes.__main__ import main

SHOWN = re.compile(
    """\
A Valkey server and two processes:
  asyncio  is ready
  trio     is ready
A hundred users of each ask for the report on tea, all at once:
(?P<first>(  asyncio  makes the report on tea
)?  asyncio  gave 100 users the report on tea, made by (?P<author>asyncio|trio)
(  trio     makes the report on tea
)?  trio     gave 100 users the report on tea, made by (?P=author)
)The process that makes the next report is killed; its lease lasts 1 s:
  asyncio  makes the report on coffee
  asyncio  is killed
  trio     makes the report on coffee
           \\d+\\.\\d s after that
  trio     gave 100 users the report on coffee, made by trio
"""
)


def test_it_shows_that_one_process_works_for_both_and_is_succeeded_when_killed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main()
    shown = SHOWN.fullmatch(capsys.readouterr().out)
    assert shown is not None
    assert re.findall(r"(\w+) +makes", shown["first"]) == [shown["author"]]
