"""Refusing the call that would make a flight wait for itself.

A call made by the work of a flight is known by a context variable, which child tasks and threads
inherit. While such a call waits, its flight keeps a record of it. A flight can end

- if it runs, when every flight that it waits for can end;
- if it is queued, when the one before it can end;
- if it waits for a token of a full limiter, when one holder of a token can end; of a holder that is
  no flight it is assumed.

What can end by these rules is found from the bottom up (a least fixed point), so a circle cannot
vouch for itself. Only a call from within a flight costs anything, and mostly not much: to wait for
a flight that waits for nothing closes no circle.
"""

from __future__ import annotations

__all__ = ("enter", "flying", "wait_within")

from collections.abc import Hashable, Iterable, Iterator
from contextvars import ContextVar
from reprlib import repr as shortened
from typing import cast
from weakref import ref

from anyio import get_current_task, get_running_tasks

from ._errors import DeadlockError
from ._led_flight import Leader, LedFlight

#: The flight whose work runs here. A weak reference: a task or a connection that outlives the
#: flight keeps the context in which it was made, and shall not keep a value with it.
flying: ContextVar[ref[LedFlight]] = ContextVar("anyflight_flying")


def enter(flight: LedFlight) -> None:
    """Let the calls that are made in this context be known as calls of the flight's work."""
    flying.set(ref(flight))


async def wait_within(flight: LedFlight) -> None:
    """Wait for the landing of ``flight`` in the work of another, as `flying` tells.

    :raises DeadlockError: if ``flight`` waits for that one
    """
    reference = flying.get(None)
    caller = None if reference is None else reference()
    if caller is None or caller.outcome is not None:  # it has landed: nothing waits for this task
        await flight.landing.wait()
        return
    wait = (flight, get_current_task().id)
    caller.waits.append(wait)
    try:
        _refuse_circle(caller)
        await flight.landing.wait()
    finally:
        caller.waits.remove(wait)
        del caller, flight, wait  # an error that comes out of here leads to this frame


def _refuse_circle(caller: LedFlight) -> None:
    """Raise if the last one of the waits of ``caller`` closes a circle."""
    flight = caller.waits[-1][0]
    if flight not in _stuck(flight, _Waits()):
        return
    waits = _Kin()  # dear, hence only now
    stuck = _stuck(flight, waits)
    if flight not in stuck:
        return
    chain = tuple(_chain(caller, flight, stuck, waits))
    raise DeadlockError(
        f"the flight for key {shortened(caller.key)} would wait for itself: "
        + " waits for ".join(map(shortened, chain)),
        flight.key,
        chain,
    )


class _Waits:
    """What a flight needs to end."""

    def of(self, flight: LedFlight) -> Iterable[LedFlight]:
        """Return the flights that must all end before this one can; or of which one must."""
        if flight.outcome is not None:
            return ()
        if flight.predecessor is not None:
            return (flight.predecessor,)
        if flight.began is None:
            return _holders(flight)
        return [other for other, task in flight.waits if self.counts(flight, task)]

    def counts(self, flight: LedFlight, task: int) -> bool:  # noqa: ARG002 - overridden
        """Whether the work of ``flight`` cannot end before this task of it has."""
        return True

    def can_end(self, flight: LedFlight, ending: set[LedFlight]) -> bool:
        """Whether the flight can end if those can."""
        needs = self.of(flight)
        token = flight.began is None and flight.predecessor is None
        return not needs or (any if token else all)(other in ending for other in needs)


class _Kin(_Waits):
    """The same without the waits of tasks that the work has started elsewhere, in the background.

    Such a task has inherited the context too, but the work does not wait for it. It is a descendant
    of a task that the leader descends from too. A task whose parent nobody knows (one of
    ``asyncio.gather`` or ``asyncio.create_task``, or a thread's) counts as part of the work, and so
    do those that it has started in turn.
    """

    def __init__(self) -> None:
        self._parents = {task.id: task.parent_id for task in get_running_tasks()}

    def counts(self, flight: LedFlight, task: int) -> bool:
        """Whether the work of ``flight`` cannot end before this task of it has."""
        leader = cast("Leader", flight.leader).task_id
        above = set(self._line(leader))
        first = next((one for one in self._line(task) if one in above), leader)
        return first == leader

    def _line(self, task: int | None) -> Iterator[int]:
        """Yield the task, its parent, and so on, as far as is known."""
        while task is not None:
            yield task
            task = self._parents.get(task)


def _holders(flight: LedFlight) -> tuple[LedFlight, ...]:
    """Return who must give a token back before the flight can begin.

    Nobody if there is one left, if a stranger has one, or if the flight has its own and has yet to
    take its first step.
    """
    limiter = flight.limiter
    if limiter is None or limiter.available_tokens > 0:
        return ()
    borrowers = limiter.statistics().borrowers
    holders = tuple(one for one in borrowers if isinstance(one, LedFlight) and one.outcome is None)
    return () if flight in holders or len(holders) < len(borrowers) else holders


def _stuck(flight: LedFlight, waits: _Waits) -> set[LedFlight]:
    """Return the flights which ``flight`` needs, itself included, and which can never end."""
    found = {flight: None}  # in the order of discovery
    unseen = [flight]
    while unseen:
        for other in waits.of(unseen.pop()):
            if other not in found:
                found[other] = None
                unseen.append(other)
    ending: set[LedFlight] = set()
    before = -1
    while len(ending) > before:
        before = len(ending)
        # From the last to the first: those with no needs come first, so one round is the rule.
        ending.update(
            one for one in reversed(found) if one not in ending and waits.can_end(one, ending)
        )
    return found.keys() - ending


def _chain(
    caller: LedFlight, flight: LedFlight, stuck: set[LedFlight], waits: _Waits
) -> list[Hashable]:
    """Return the keys on a shortest way from ``caller`` by ``flight`` back to ``caller``.

    There is one: without this call of the caller's all of them could have ended.
    """
    before: dict[LedFlight, LedFlight | None] = {flight: None}
    for one in (found := [flight]):  # which grows under way
        for other in waits.of(one):
            if other in stuck and other not in before:
                before[other] = one
                found.append(other)
    way: list[Hashable] = []
    step: LedFlight | None = caller
    while step is not None:
        way.append(step.key)
        step = before[step]
    return [caller.key, *reversed(way)]
