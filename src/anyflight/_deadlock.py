"""Refusing the call that would make a flight wait for itself.

A call made by the work of a flight is known by a context variable, which child tasks and threads
inherit. While such a call waits, its flight keeps a record of it. For a key of a `BatchLoader` the
work is that of its batch. A flight can end

- if it runs, when every flight that it waits for can end;
- if it is queued, when the one before it can end;
- if it is that of a key in a batch, when the batch can end;
- if it waits for a token of a full limiter, when one holder of a token can end; of a holder that is
  no flight it is assumed. A flight that has landed at its deadline is a holder for as long as its
  work goes on.

What can end by these rules is found from the bottom up (a least fixed point), so a circle cannot
vouch for itself. Only a call from within a flight costs anything, and mostly not much: to wait for
a flight that waits for nothing closes no circle.
"""

from __future__ import annotations

__all__ = ("Waits", "enter", "flying", "wait_within")

from collections.abc import Collection, Hashable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeAlias, cast
from weakref import ref

from anyio import CapacityLimiter, get_current_task, get_running_tasks

from ._batch import Batch, KeyFlight
from ._errors import DeadlockError, shortened
from ._flight import Flight
from ._led_flight import Leader, LedFlight, Wait

#: What can be waited for: the landing of a flight, or a token of a limiter.
Node: TypeAlias = LedFlight | KeyFlight | CapacityLimiter

#: The flight whose work runs here. A weak reference: a task or a connection that outlives the
#: flight keeps the context in which it was made, and shall not keep a value with it.
flying: ContextVar[ref[LedFlight]] = ContextVar("anyflight_flying")


def enter(flight: LedFlight) -> None:
    """Let the calls that are made in this context be known as calls of the flight's work."""
    flying.set(ref(flight))


async def wait_within(flight: LedFlight | KeyFlight) -> None:
    """Wait for the landing of ``flight`` in the work of another, as `flying` tells.

    :raises DeadlockError: if ``flight`` waits for that one
    """
    try:
        with Waits((flight,)):
            await flight.landing.wait()
    finally:
        del flight  # an error that comes out of here leads to this frame


class Waits:
    """The waits of one call for flights, known to the flight in whose work it was made, if any.

    To enter it raises :exc:`DeadlockError` if one of ``flights`` waits for that one.
    """

    __slots__ = ("_caller", "_waits")

    def __init__(self, flights: Sequence[LedFlight | KeyFlight]) -> None:
        reference = flying.get(None)
        caller = None if reference is None else reference()
        if caller is not None and caller.outcome is not None and caller.limiter is None:
            caller = None  # it has landed, and holds no token: nothing waits for this task
        self._caller = caller
        if caller is not None:
            task_id = get_current_task().id
            self._waits = [Wait(flight, task_id) for flight in flights]

    def __enter__(self) -> None:
        if self._caller is None:
            return
        self._caller.waits.update(dict.fromkeys(self._waits))
        try:
            error = _circle(self._caller, [wait.flight for wait in self._waits])
        except BaseException:
            self.__exit__()
            raise
        if error is not None:
            self.__exit__()
            try:
                raise error
            finally:
                del error  # whose traceback holds this frame

    def __exit__(self, *_: object) -> None:
        if self._caller is not None:
            for wait in self._waits:
                del self._caller.waits[wait]
            # An error that comes out of here leads to frames that hold this.
            self._caller = None
            self._waits.clear()


def _circle(caller: LedFlight, flights: Sequence[LedFlight | KeyFlight]) -> DeadlockError | None:
    """Return the error if the waits of ``caller`` for ``flights`` close a circle."""
    if _way(flights, caller, _Needs()) is None:
        return None
    way = _way(flights, caller, _NeedsOfTheWork())  # expensive, hence only now
    if way is None:
        return None
    keys = tuple(_keys(way))
    chain = (keys[-1], *keys)
    return DeadlockError(
        f"the flight for key {shortened(chain[0])} would wait for itself: "
        + " waits for ".join(map(shortened, chain)),
        cast("Flight", way[0]).key,
        chain,
    )


def _keys(way: list[Node]) -> Iterator[Hashable]:
    """Yield the keys along a way; for a batch the one that led into it, else its first."""
    before: Node | None = None
    for node in way:
        if isinstance(node, Batch):
            if not isinstance(before, KeyFlight):
                yield next(iter(node.flights)).key
        elif isinstance(node, Flight):
            yield node.key
        before = node


class _Needs:
    """What must end before something can; for one moment, in which nothing changes."""

    def __init__(self) -> None:
        self._holders: dict[CapacityLimiter, Collection[LedFlight]] = {}

    def of(self, node: Node) -> Collection[Node]:
        """Return the needs: of a flight all of them must end, of a limiter any one."""
        if isinstance(node, CapacityLimiter):
            return self._holders[node]
        if node.predecessor is not None:
            return (node.predecessor,)
        if isinstance(node, KeyFlight):
            return () if node.batch is None else (node.batch,)
        if node.began is None:
            return self._tokens(node)
        return [
            wait.flight
            for wait in node.waits
            if wait.flight.outcome is None and self.counts(node, wait)
        ]

    def counts(self, flight: LedFlight, wait: Wait) -> bool:  # noqa: ARG002 - overridden
        """Whether the work of ``flight`` cannot end before this wait has."""
        return True

    def _tokens(self, flight: LedFlight) -> Collection[CapacityLimiter]:
        """Return the limiters of which a flight that has not begun needs a token, and none is free.

        A batch needs a slot first: it may have to wait for that, or for its delay, but if those who
        hold the tokens wait for it, then they do so in vain.
        """
        limiters = [flight.limiter]
        if isinstance(flight, Batch):
            limiters.append(flight.next_limiter)
        return [each for each in limiters if each is not None and self._is_taken(each, flight)]

    def _is_taken(self, limiter: CapacityLimiter, flight: LedFlight) -> bool:
        """Whether flights hold all tokens, and ``flight`` is none of them."""
        if limiter.available_tokens > 0:
            return False
        if limiter not in self._holders:
            self._holders[limiter] = _holders(limiter)
        holders = self._holders[limiter]
        # It may have its token, and have yet to take its first step.
        return bool(holders) and flight not in holders


class _NeedsOfTheWork(_Needs):
    """The same without the waits of tasks that the work has started elsewhere, in the background.

    Such a task has inherited the context too, but the work does not wait for it. It is a descendant
    of a task that the leader descends from too. A task whose parent nobody knows (one of
    ``asyncio.gather`` or ``asyncio.create_task``, or a thread's) counts as part of the work, and so
    do those that it has started in turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parents = {task.id: task.parent_id for task in get_running_tasks()}
        self._known: dict[tuple[int, int], bool] = {}  # many waits may be those of one call

    def counts(self, flight: LedFlight, wait: Wait) -> bool:
        """Whether the work of ``flight`` cannot end before this wait has."""
        pair = cast("Leader", flight.leader).task_id, wait.task_id
        if pair not in self._known:
            self._known[pair] = self._is_below(*pair)
        return self._known[pair]

    def _is_below(self, leader: int, task: int) -> bool:
        above = set(self._line(leader))
        return next((one for one in self._line(task) if one in above), leader) == leader

    def _line(self, task: int | None) -> Iterator[int]:
        """Yield the task, its parent, and so on, as far as is known."""
        while task is not None:
            yield task
            task = self._parents.get(task)


def _holders(limiter: CapacityLimiter) -> Collection[LedFlight]:
    """Return the flights that hold its tokens, busy ones first; none if a stranger holds one."""
    borrowers = limiter.statistics().borrowers
    holders = [each for each in borrowers if isinstance(each, LedFlight)]
    if len(holders) < len(borrowers):
        return ()
    return dict.fromkeys(sorted(holders, key=lambda each: len(each.waits), reverse=True))


def _way(
    flights: Sequence[LedFlight | KeyFlight], caller: LedFlight, needs: _Needs
) -> list[Node] | None:
    """Return a shortest way from one of ``flights`` to ``caller`` through what can never end.

    None if there is none: then this call closes no circle, though it may wait for one.
    """
    stuck = _stuck(flights, needs)
    before: dict[Node, Node | None] = {flight: None for flight in flights if flight in stuck}
    for node in (found := list(before)):  # which grows under way
        for other in needs.of(node):
            if other in stuck and other not in before:
                before[other] = node
                found.append(other)
    if caller not in before:
        return None
    way: list[Node] = []
    step: Node | None = caller
    while step is not None:
        way.append(step)
        step = before[step]
    return way[::-1]


def _stuck(flights: Sequence[LedFlight | KeyFlight], needs: _Needs) -> set[Node]:
    """Return all that ``flights`` need, themselves included, and that can never end.

    It stops as soon as all of ``flights`` are found to be able to end. What is found last is looked
    into first, so that of the holders of tokens those that wait for little come first.
    """
    missing: dict[Node, int] = {}  # how many of the needs of a node are not known to be able to end
    needed_by: dict[Node, list[Node]] = {flight: [] for flight in flights}
    unseen: list[Node] = list(flights)
    open_ends: set[Node] = set(flights)
    while unseen and open_ends:
        node = unseen.pop()
        if node in missing:
            continue
        others = needs.of(node)
        missing[node] = len(others) if isinstance(node, Flight) else 1
        for other in others:
            needed_by.setdefault(other, []).append(node)
            if other not in missing:
                unseen.append(other)
            elif missing[other] <= 0:
                missing[node] -= 1
        ending = [node] if missing[node] <= 0 else []
        while ending:
            able = ending.pop()
            open_ends.discard(able)
            for above in needed_by[able]:
                missing[above] -= 1
                if missing[above] == 0:
                    ending.append(above)
    return {node for node, number in missing.items() if number > 0} if open_ends else set()
