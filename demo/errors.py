"""How a run can end before it has figures to show."""

from __future__ import annotations


class DemoError(Exception):
    """The base of those that make the command fail with a message instead of a traceback."""


class WrongAnswerError(DemoError):
    """Raised by a request whose answer is not the expected row; it ends the whole run."""


class CountMismatchError(DemoError):
    """Raised if the client's count of queries and the server's contradict each other."""


class InterruptedRunError(Exception):
    """Raised inside the event loop when the user has pressed Ctrl-C.

    An ordinary exception, which task groups and coalescers take to an orderly end; asyncio lets a
    `KeyboardInterrupt` in a task break out of the loop at once.
    """
