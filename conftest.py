"""Collects the code blocks of the documentation, and makes hypothesis repeatable.

The blocks of a page run as one program, in order.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers import markdown, rest
from sybil.sybil import SybilCollection

#: Pages of which some blocks connect to a server.
CONNECTING = ["README.md", "docs/lease.md", "docs/cache.md"]

pages = Sybil(parsers=[markdown.PythonCodeBlockParser()], patterns=["*.md"], excludes=CONNECTING)
connecting = Sybil(
    parsers=[markdown.PythonCodeBlockParser()], patterns=CONNECTING, fixtures=["valkey_url"]
)
docstrings = Sybil(
    parsers=[rest.PythonCodeBlockParser()],
    patterns=["src/**/*.py"],
    document_types={".py": PythonDocStringDocument},
)
pytest_collect_file = SybilCollection([pages, connecting, docstrings]).pytest()


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """Run a server for the blocks that look for one in `VALKEY_URL`."""
    from servers.valkey import temporary_valkey  # noqa: PLC0415 - only where a server is wanted

    with temporary_valkey() as server, pytest.MonkeyPatch.context() as patch:
        url = f"redis://{server.host}:{server.port}"
        patch.setitem(os.environ, "VALKEY_URL", url)
        yield url


@pytest.fixture(scope="module", autouse=True)
def _small_heap() -> None:
    """Let the collections of garbage in tests pass over what there is, or they take long."""
    gc.collect()
    gc.freeze()


# The same examples in each run, and no limit on the time of one, which a busy machine would miss.
# For other examples: pytest --hypothesis-profile=explore
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, max_examples=2000)
settings.load_profile("repeatable")
