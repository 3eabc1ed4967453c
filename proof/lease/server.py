"""The server: a `MemoryStore` that makes each transition in one step, and may lose its memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from outcome import Value

from anyflight.lease import MemoryStore, Notice
from proof.lease.history import Ask, Forgotten, LeaseHistory

MICROSECONDS = 1_000_000


class Server:
    """What all processes share. Its clock is the virtual one.

    :param publish: called with each message
    """

    def __init__(self, history: LeaseHistory, publish: Callable[[Notice], None]) -> None:
        self._history = history
        self._publish = publish
        self.store: MemoryStore
        self.forget()

    def forget(self) -> None:
        """Lose everything; epochs go on, as those of a real server do by its clock."""
        self.store = MemoryStore()
        self.store._epoch = self.first_epoch(self._history.clock())
        self.store._hearers.append(self._publish)

    @staticmethod
    def first_epoch(time: float) -> int:
        """Return the epoch from which a server that begins now counts on."""
        return round(time * MICROSECONDS)

    def lose_memory(self) -> None:
        """Forget, and have that in the history."""
        self.forget()
        self._history.server.append(Forgotten(self._history.note("the server forgets everything")))

    def obey(self, ask: Ask) -> None:
        """Make the transition that is asked for."""
        transition = getattr(self.store, ask.method)
        args = (ask.key, ask.token)[: bool(ask.key) + bool(ask.token)]
        self._history.obeys(ask)  # before the messages that it sends
        ask.answer = in_one_step(transition(*args, **ask.args))
        self._history.note("the server answers", ask, "with", ask.answer)


def in_one_step(transition: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine does that makes a checkpoint, and then all the rest at once."""
    try:
        transition.send(None)
        transition.send(Value(None))  # what Trio resumes a checkpoint with
    except StopIteration as done:
        return done.value
    raise AssertionError("a transition is one step")
