"""The command `python -m fleet`: measure, and write the page, its figures and its picture."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from demo.errors import DemoError
from fleet.options import parse_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.options import Options

INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended, as a shell reports it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parse_options(arguments)
    try:
        _run(options)
    except KeyboardInterrupt:
        print("interrupted: servers and workers are gone", file=sys.stderr)
        return INTERRUPTED
    except DemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: Options) -> None:
    """Measure, show and write."""
    # Imported here: a worker imports this file, and needs none of it.
    from rich.console import Console  # noqa: PLC0415

    from fleet.compare import compare  # noqa: PLC0415
    from fleet.document import read, write  # noqa: PLC0415
    from fleet.page import page_of  # noqa: PLC0415
    from fleet.report import show  # noqa: PLC0415

    console = Console()
    figures = options.output / "fleet.json"
    if not options.rebuild:
        options.output.mkdir(parents=True, exist_ok=True)
        write(compare(options, console), figures)
    document = read(figures)  # rounded: the page is what its figures say
    show(console, document)
    page = options.output / "fleet.md"
    page.write_text(page_of(document), encoding="utf-8")
    # Not before the measurement: matplotlib is large.
    from fleet.picture import draw  # noqa: PLC0415

    for path in (figures, page, *draw(document, options.output / "pictures")):
        console.print(f"Wrote {path}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
