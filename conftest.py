"""Collects the code blocks of the documentation, and makes hypothesis repeatable.

The blocks of a page run as one program, in order.
"""

from __future__ import annotations

from hypothesis import settings
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers import markdown, rest

pages = Sybil(parsers=[markdown.PythonCodeBlockParser()], patterns=["*.md"])
docstrings = Sybil(
    parsers=[rest.PythonCodeBlockParser()],
    patterns=["src/**/*.py"],
    document_types={".py": PythonDocStringDocument},
)
pytest_collect_file = (pages + docstrings).pytest()

# The same examples in each run, and no limit on the time of one, which a busy machine would miss.
# For other examples: pytest --hypothesis-profile=explore
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, max_examples=2000)
settings.load_profile("repeatable")
