"""Collects the code blocks of the documentation: each page's run as one program, in order."""

from __future__ import annotations

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
