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

T = TypeVar("T")
Answer = TypeVar("Answer")

cause: ContextVar[Part] = ContextVar("part of the traffic that caused this")
"""Set once by each request, in its own task."""


class Query(NamedTuple):
    """One answered query, with the waiting for a connection."""

    users: tuple[int, ...]
    """Whom it asked for."""

    part: Part
    """The part of the traffic that caused it; of several requests, the one that came first."""

    seconds: float
    """From the call to its answer."""


class Fetch(NamedTuple):
    """One user, fetched alone or in a batch."""

    user: int
    part: Part
    """The part of the traffic that caused it."""
    seconds: float
    """How long requests shared it, or would have."""


class Ledger:
    """Counts the queries of one run.

    Invariant: `len(queries) <= started`, and all together ask for at most `asked` users; both are
    equal unless a query failed or was cancelled.
    """

    def __init__(self) -> None:
        self.started = 0
        self.asked = 0
        """How many users all queries asked for, one that two ask for counted twice."""
        self.queries: list[Query] = []

    async def record(
        self, fetch: Callable[[T], Awaitable[Answer]], asked: T, users: tuple[int, ...]
    ) -> Answer:
        """Call `fetch(asked)`, which asks for `users`, and write it down.

        Its error passes and leaves no query.
        """
        part = cause.get()
        self.started += 1
        self.asked += len(users)
        begin = perf_counter()
        answer = await fetch(asked)
        self.queries.append(Query(users, part, perf_counter() - begin))
        return answer

    def fetches(self) -> list[Fetch]:
        """Return what the answered queries fetched, each user as long as its query."""
        return [
            Fetch(user, query.part, query.seconds) for query in self.queries for user in query.users
        ]
