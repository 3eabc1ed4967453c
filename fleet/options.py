"""The command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command is asked to do."""

    quick: bool
    output: Path
    rebuild: bool


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; a wrong value exits with status 2 and says what is allowed."""
    parser = argparse.ArgumentParser(
        prog="python -m fleet",
        description="Measure processes that share executions, beside other libraries, and write "
        "the page about it. It takes about four minutes.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a smoke run; its figures mean nothing")
    add("--output", type=Path, default=Path("docs"), help="the folder for page and picture (docs)")
    add("--rebuild", action="store_true", help="write the page again from its JSON file")
    return Options(**vars(parser.parse_args(arguments)))


def command_of(options: Options) -> str:
    """Return the command that measures the same."""
    return "nox -s fleet -- --quick" if options.quick else "nox -s fleet"
