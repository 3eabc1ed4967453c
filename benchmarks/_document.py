"""All that a run has found, and the JSON file that holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks._environment import Environment
from benchmarks._measure import Result
from benchmarks._rivals import Verdict

DIGITS = 4
"""Significant digits of a figure in the file; no measurement has more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One run.

    :ivar verdicts: for each back end, what the check of cancel-safety found
    """

    environment: Environment
    command: str
    quick: bool
    seconds: int
    load_after: float
    backends: tuple[str, ...]
    verdicts: dict[str, dict[str, Verdict]]
    results: tuple[Result, ...]

    def of(self, question: str, backend: str | None = None) -> Iterator[Result]:
        """Yield the results of a question; of one back end, or of all."""
        for result in self.results:
            if result.question == question and backend in {None, result.backend}:
                yield result

    def safe_rivals(self, backend: str) -> list[str]:
        """Return the rivals that are cancel-safe there; anyflight is none of them."""
        verdicts = self.verdicts[backend].items()
        ours = {"anyflight", "BatchLoader", "ReadThroughCache"}
        return [name for name, verdict in verdicts if verdict.safe and name not in ours]


def write(document: Document, path: Path) -> None:
    """Write the file."""
    plain = asdict(document)
    for result in plain["results"]:
        result["samples"] = {
            name: [None if each is None else _rounded(each) for each in figures]
            for name, figures in result["samples"].items()
        }
    *_, last = plain
    lines = [
        f'"{name}": {_written(value)}{"" if name == last else ","}' for name, value in plain.items()
    ]
    path.write_text("\n".join(["{", *lines, "}", ""]), encoding="utf-8")


def read(path: Path) -> Document:
    """Read what `write` wrote."""
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Document(
        environment=Environment(**plain["environment"]),
        command=plain["command"],
        quick=plain["quick"],
        seconds=plain["seconds"],
        load_after=plain["load_after"],
        backends=tuple(plain["backends"]),
        verdicts={
            backend: {name: Verdict(**verdict) for name, verdict in verdicts.items()}
            for backend, verdicts in plain["verdicts"].items()
        },
        results=tuple(Result(**result) for result in plain["results"]),
    )


def _written(value: object) -> str:
    """Write each item of a list in a line of its own."""
    if not isinstance(value, list | tuple):
        return json.dumps(value, ensure_ascii=False)
    items: list[object] = [*value]
    return "[\n" + ",\n".join(json.dumps(each, ensure_ascii=False) for each in items) + "\n]"


def _rounded(figure: float) -> float:
    return float(f"{figure:.{DIGITS}g}")
