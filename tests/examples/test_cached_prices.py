"""The example of the cache does what it shows."""

from __future__ import annotations

import anyio
import pytest

from examples.cached_prices import main

SHOWN = """\
in the morning: tea: 3, coffee: 4 (200 asked, 2 queries)
a moment later: tea: 3, coffee: 4 (200 asked, 0 queries)
tea is cheaper: tea: 2, coffee: 4 (200 asked, 1 queries)
what there is not: beer: there is no beer (100 asked, 1 queries)
and once more: beer: there is no beer (100 asked, 0 queries)
the database is down: tea: 2, coffee: 4 (200 asked, 2 queries)
it still is: tea: 2, coffee: 4 (200 asked, 0 queries)
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_prints_what_the_cache_saves(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(main, backend=backend)
    assert capsys.readouterr().out == SHOWN
