"""All that a run has found, and the JSON file that holds it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks._document import DIGITS
from benchmarks._environment import Environment
from benchmarks._measure import Result
from benchmarks.eviction.footprints import Footprint
from benchmarks.eviction.hit_ratios import Cell

NO_CHANCE = "loop"
"""The trace on which most policies get nothing: it would hide how they differ at their worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One run.

    :ivar probes: for each contestant what each probe found
    """

    environment: Environment
    quick: bool
    seconds: int
    load_after: float
    cells: tuple[Cell, ...]
    costs: tuple[Result, ...]
    footprints: dict[str, Footprint]
    probes: dict[str, dict[str, str]]

    def mean(self, name: str) -> float:
        """Return the mean of a policy's hit ratios, each trace and size counting the same."""
        return mean(cell.mean(name) for cell in self.cells)

    def optimum(self) -> float:
        """Return the mean of the optimal ones."""
        return mean(mean(cell.optimum) for cell in self.cells)

    def least_share(self, name: str) -> Cell:
        """Return the cell in which a policy is the farthest from the optimum, loops left out."""
        cells = [cell for cell in self.cells if cell.trace != NO_CHANCE]
        return min(cells, key=lambda cell: cell.share(name))


def write(document: Document, path: Path) -> None:
    """Write the file."""
    plain = _rounded(asdict(document))
    path.write_text(json.dumps(plain, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Document:
    """Read what `write` wrote."""
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    plain["environment"] = Environment(**plain["environment"])
    plain["cells"] = tuple(Cell(**each) for each in plain["cells"])
    plain["costs"] = tuple(Result(**each) for each in plain["costs"])
    plain["footprints"] = {name: Footprint(**each) for name, each in plain["footprints"].items()}
    return Document(**plain)


def _rounded(value: Any) -> Any:
    """Return the same with figures that have no more digits than a measurement has."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
