"""The example of the batch loader does what it says."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path

import anyio
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "bookshelf.py"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_forty_books_take_one_query(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(run_path(str(EXAMPLE))["main"], backend=backend)
    assert capsys.readouterr().out == (
        "each book on its own: 40 queries for 40 books\nwith a BatchLoader: 1 query for 8 authors\n"
    )
