"""What is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable

from fleet.tables import burst_table, lease_table, takeover_table, traffic_table

if TYPE_CHECKING:
    from rich.console import Console

    from fleet.document import Document
    from fleet.tables import Table


def show(console: Console, document: Document) -> None:
    """Print the tables; the page says what they mean."""
    plan = document.plan
    _show(
        console,
        burst_table(document),
        f"Bursts: {plan.burst_calls} calls at once for a key that nobody has asked for yet",
    )
    _show(
        console,
        traffic_table(document),
        f"Traffic: {plan.rate:,.0f} calls/s, {plan.hot:.0%} of them for one profile",
    )
    _show(console, lease_table(document), "What the lease saves, and what it adds")
    _show(
        console,
        takeover_table(document),
        f"{plan.takeovers} processes killed; leases and locks of {plan.takeover_ttl:g} s",
    )


def _show(console: Console, table: Table, title: str) -> None:
    shown = RichTable(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    shown.padding = (0, 0, 0, 1)
    for at, head in enumerate(table.heads):
        shown.add_column(head, justify="left" if at < table.left else "right")
    group = None
    for row in table.rows:
        if table.left > 1 and row[0] != group:
            if group is not None:
                shown.add_section()
            group = row[0]
        shown.add_row(*row)
    console.print(shown)
    console.print()
