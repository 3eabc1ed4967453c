"""The command `crowd`: the figures of docs/fleet-size.md."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from time import perf_counter

from proof.lease.crowd_figures import crowds as all_crowds
from proof.lease.crowd_figures import observe_all, tables

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "fleet-size.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def crowds(options: Namespace) -> bool:
    """Observe all crowds; print the tables, and write them and the picture if asked to."""
    start, lasts = perf_counter(), float(options.seconds)
    seen = observe_all(all_crowds(lasts))
    text = tables(seen, lasts)
    print(f"crowd: {len(seen)} crowds ({perf_counter() - start:.1f} s)\n{text}")
    if options.write:
        # Imported here: it takes a second, and nothing else needs it.
        from proof.lease.crowd_picture import draw  # noqa: PLC0415

        draw(seen, lasts, DOCS / "pictures")
        PAGE.write_text(_with_tables(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    return True


def _with_tables(page: str, text: str) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{text}\n\n{END}{after}"
