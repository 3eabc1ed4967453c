"""Many small reads, few queries: a BatchLoader in front of SQLite.

A page shows forty books, each with its author. Whoever renders a book asks for one author, and
knows nothing of the others. Run it with ``python examples/bookshelf.py``, or with ``trio`` behind.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread

from anyflight import BatchLoader

AUTHORS = ["Ada", "Barbara", "Frances", "Grace", "Hedy", "Jean", "Kathleen", "Margaret"]
BOOKS = [(f"Book {number}", number % len(AUTHORS)) for number in range(40)]


class Library:
    """A database of authors that counts its queries."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        self._connection.execute("CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT)")
        self._connection.executemany("INSERT INTO authors VALUES (?, ?)", enumerate(AUTHORS))
        self._one_at_a_time = anyio.CapacityLimiter(1)  # as a connection wants it
        self.queries = 0

    async def authors(self, ids: list[int]) -> dict[int, str]:
        """Return the names of the authors with these ids, in one query."""
        return await anyio.to_thread.run_sync(self._authors, ids, limiter=self._one_at_a_time)

    async def author(self, id_: int) -> str:
        """Return the name of one author."""
        return (await self.authors([id_]))[id_]

    def _authors(self, ids: list[int]) -> dict[int, str]:
        self.queries += 1
        places = ", ".join("?" * len(ids))
        query = f"SELECT id, name FROM authors WHERE id IN ({places})"  # noqa: S608 - question marks
        return dict(self._connection.execute(query, ids).fetchall())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


async def render_page(author: Callable[[int], Awaitable[str]]) -> list[str]:
    """Render all books at once; ``author`` returns the name for an id."""
    lines: dict[str, str] = {}

    async def render(title: str, author_id: int) -> None:
        lines[title] = f"{title}, by {await author(author_id)}"

    async with anyio.create_task_group() as tasks:
        for title, author_id in BOOKS:
            tasks.start_soon(render, title, author_id)
    return sorted(lines.values())


async def main() -> None:
    """Render the page twice, and say what it took."""
    library = Library()
    try:
        plain = await render_page(library.author)
        print(f"each book on its own: {library.queries} queries for {len(plain)} books")
        library.queries = 0
        async with BatchLoader(library.authors) as authors:
            batched = await render_page(authors.load)
            counted = authors.statistics()
        print(f"with a BatchLoader: {library.queries} query for {counted.loaded} authors")
        if batched != plain:
            raise SystemExit("the pages differ")
    finally:
        library.close()


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if sys.argv[1:] else "asyncio")
