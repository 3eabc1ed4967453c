"""Who caused which query: the client's own account, to be compared with the server's.

The server counts queries but cannot know which request caused them, and with a backlog many of
the spike's queries run after the spike. So each request notes in a context variable which part of
the traffic it belongs to. A coalesced execution runs in a copy of the context of the call that
started it, and therefore sees the same note.
"""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from demo.traffic import Part

Row = TypeVar("Row")

cause: ContextVar[Part] = ContextVar("part of the traffic that caused this")
"""Set once by each request, in its own task."""


class Execution(NamedTuple):
    """One answered query, with the waiting for a connection."""

    user_id: int
    part: Part
    seconds: float
    """From the call to its answer: take-off to landing of the flight, if calls are coalesced."""


class Ledger:
    """Counts the queries of one run.

    Invariant: `len(executions) <= started`; they are equal unless a query failed or was cancelled.
    """

    def __init__(self) -> None:
        self.started = 0
        self.executions: list[Execution] = []

    async def record(self, fetch: Callable[[int], Awaitable[Row]], user_id: int) -> Row:
        """Call `fetch(user_id)` and write it down; its error passes and leaves no execution."""
        part = cause.get()
        self.started += 1
        begin = perf_counter()
        row = await fetch(user_id)
        self.executions.append(Execution(user_id, part, perf_counter() - begin))
        return row
