"""All that a run has found, and the JSON file that holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks._environment import Environment
from demo.theory import FetchRate
from fleet.cell import Cell
from fleet.figures import Bursts, Load, Traffic
from fleet.plan import Plan
from fleet.takeover import Takeover

DIGITS = 4
"""Significant digits of a figure in the file; no measurement has more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One run."""

    environment: Environment
    postgresql: str
    valkey: str
    command: str
    quick: bool
    seconds: int
    load_after: float
    plan: Plan
    cells: tuple[Cell, ...]
    low: dict[str, Traffic]
    """Of traffic in which hardly any two calls overlap, by strategy."""
    takeovers: dict[str, tuple[Takeover, ...]]
    """By strategy."""

    def of(self, strategy: str) -> Iterator[Cell]:
        """Yield the cells of a strategy, from few processes to many."""
        return (cell for cell in self.cells if cell.strategy == strategy)

    def cell(self, strategy: str, processes: int) -> Cell:
        """Return one of them."""
        (found,) = (cell for cell in self.of(strategy) if cell.processes == processes)
        return found


def write(document: Document, path: Path) -> None:
    """Write the file."""
    path.write_text(json.dumps(_rounded(asdict(document)), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Document:
    """Read what `write` wrote."""
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Document(
        **plain
        | {
            "environment": Environment(**plain["environment"]),
            "plan": Plan(**plain["plan"] | {"processes": tuple(plain["plan"]["processes"])}),
            "cells": tuple(_cell(cell) for cell in plain["cells"]),
            "low": {name: _traffic(traffic) for name, traffic in plain["low"].items()},
            "takeovers": {
                name: tuple(Takeover(**each) for each in takeovers)
                for name, takeovers in plain["takeovers"].items()
            },
        }
    )


def _cell(plain: dict[str, Any]) -> Cell:
    load, executions = plain["bursts"].values()
    return Cell(
        **plain
        | {
            "bursts": Bursts(load=Load(**load), executions=tuple(executions)),
            "traffic": _traffic(plain["traffic"]),
        }
    )


def _traffic(plain: dict[str, Any]) -> Traffic:
    return Traffic(
        **plain
        | {
            "load": Load(**plain["load"]),
            "popular": FetchRate(**plain["popular"]),
            "others": FetchRate(**plain["others"]),
        }
    )


def _rounded(plain: Any) -> Any:
    match plain:
        case float():
            return float(f"{plain:.{DIGITS}g}")
        case dict():
            return {name: _rounded(each) for name, each in plain.items()}
        case list() | tuple():
            return [_rounded(each) for each in plain]
        case _:
            return plain
