"""The best that is possible, for those who know the future and for those who do not."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from heapq import heappop, heappush


def optimal_hits(trace: Sequence[Hashable], size: int) -> int:
    """Return how many requests the optimal policy answers: it drops what is asked for last.

    That is Belady's MIN, allowed not to keep what it has just fetched, as policies with an
    admission are. No policy gets more, whatever it knows.
    """
    kept: dict[Hashable, int] = {}
    farthest: list[tuple[int, int]] = []  # (minus the next use, index of the request before it)
    hits = 0
    for index, following in enumerate(_next_uses(trace)):
        key = trace[index]
        hits += key in kept
        kept[key] = following
        heappush(farthest, (-following, index))
        while len(kept) > size:
            minus, asked = heappop(farthest)
            # Else that request's successor has come since: it is in the heap with a later use.
            if kept.get(trace[asked]) == -minus:
                del kept[trace[asked]]
    return hits


def _next_uses(trace: Sequence[Hashable]) -> list[int]:
    """Return for each request the index of the next one for its key; a distinct one for never."""
    following = [0] * len(trace)
    seen: dict[Hashable, int] = {}
    for index in reversed(range(len(trace))):
        following[index] = seen.get(trace[index], len(trace) + index)
        seen[trace[index]] = index
    return following


def fixed_set_ratio(weights: Sequence[float], size: int) -> float:
    """Return the expected hit ratio of keeping the likeliest keys for ever.

    Where requests are independent, no policy that does not know the future expects more.
    """
    return sum(sorted(weights, reverse=True)[:size])
