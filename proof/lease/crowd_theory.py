"""What is to be expected of a crowd: the formulas of docs/lease.md, with the network's time."""

from __future__ import annotations

from math import exp
from typing import NamedTuple

from proof.lease.crowd import Crowd


class Expected(NamedTuple):
    """Per second, for one key: executions, requests, and messages that reach processes."""

    executions: float
    requests: float
    messages: float


def expected(crowd: Crowd) -> Expected:
    """Return what theory says of a crowd whose calls form a Poisson process.

    Each for itself: N processes see L/N each, so L / (1 + L·S/N) executions. With a lease it is
    held for S and the way of its winner's answer, S's outcome, and that is all: L / (1 + L·(S+2d)),
    with d the time to the server, or back. For each execution the leader makes two requests, and so
    does each other process in which a call comes meanwhile, which is so with probability
    1 - e^(-L·(S+2d)/N); and a message reaches each process if anybody waits.
    """
    rate, processes = crowd.rate, crowd.processes
    if not crowd.leased:
        return Expected(rate / (1 + rate * crowd.seconds / processes), 0.0, 0.0)
    held = crowd.seconds + 2 * crowd.delay
    executions = rate / (1 + rate * held)
    waits = 1 - exp(-rate * held / processes)
    others = processes - 1
    somebody_waits = 1 - (1 - waits) ** others
    return Expected(
        executions,
        2 * executions * (1 + others * waits),
        executions * processes * somebody_waits,
    )
