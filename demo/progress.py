"""Tells what is going on: a bar on a terminal, one line for each stage elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

EVERY = 1.0
"""Seconds between two refreshes. A refresh takes milliseconds from the loop that is measured."""


@contextmanager
def stage(
    console: Console, text: str, *, seconds: float | None = None
) -> Iterator[Callable[[float], None]]:
    """Show a stage that lasts about `seconds`; None is unknown.

    Yields what is to be called now and then with the seconds that are over.
    """
    if not console.is_terminal:
        about = "" if seconds is None else f" (about {seconds:.0f} s)"
        console.print(f"{text}{about}", highlight=False)
        yield lambda _: None
        return
    columns = (TextColumn("{task.description:<20}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, auto_refresh=seconds is None) as progress:
        task = progress.add_task(text, total=seconds)
        shown = 0.0

        def advance(over: float) -> None:
            nonlocal shown
            if over >= shown + EVERY:
                shown = over
                progress.update(task, completed=over, refresh=True)

        yield advance
        progress.update(task, total=seconds or 1, completed=seconds or 1, refresh=True)
