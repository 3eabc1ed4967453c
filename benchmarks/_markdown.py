"""Paragraphs and tables in Markdown; of this folder it needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap

HELD = "\0"
"""Stands for a space at which no line may break."""


def paragraph(*sentences: str) -> Iterator[str]:
    """Yield the lines of a paragraph, and an empty one; code stays on one line."""
    text = " ".join(sentences)
    text = re.sub("`[^`]*`", lambda code: code[0].replace(" ", HELD), text)
    for line in wrap(text, 100, break_long_words=False, break_on_hyphens=False):
        yield line.replace(HELD, " ")
    yield ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Yield a table, and an empty line; so many columns are aligned to the left, others right."""
    yield _line(heads)
    yield _line(["---" if index < left else "--:" for index in range(len(heads))])
    for row in rows:
        yield _line(row)
    yield ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
