"""What a program is: processes that share a server, what they call, and what befalls them.

Times are seconds of the virtual clock; most are multiples of powers of two, so that things meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

Ending: TypeAlias = Literal["value", "error", "unencodable", "undecodable", "large"]
"""What work ends with: a value, or an error; or a value of which other processes get nothing."""

Kind: TypeAlias = Literal[
    "kill", "pause", "stop", "drop", "mute", "deafen", "silence", "refuse", "restart", "forget"
]
"""What befalls.

A process is killed, paused (its tasks make no step), or stopped (its block is cancelled). Its
subscription is dropped, and perhaps refused for a while (mute), or deafened: messages are lost, and
nobody tells it. Its connection, or everybody's, falls silent, so that it loses whatever it carries,
or is refused, with what is under way. The server restarts, without its memory, or forgets it all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that befalls one process, or the server with all its connections."""

    kind: Kind
    whom: int | None = None
    """The number of the process. None: the server."""

    at: float = 0.0
    lasts: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the function does that a call brings."""

    lasts: float = 0.0
    ending: Ending = "value"
    cleanup: float = 0.0
    """How long it stays in a shielded clean-up when it is cancelled."""

    stubborn: bool = False
    """Whether it then ends as if it had not been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of ``execute``."""

    key: str = "a"
    at: float = 0.0
    """When it is made, after the opening of its process."""

    work: Work = Work()
    fresh: bool = False
    cancel: float | None = None
    """How long after it was made it is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """One call of ``invalidate``."""

    key: str = "a"
    at: float = 0.0
    then: Call | None = None
    """A call that is made as soon as it has returned: whoever writes wants to read that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """One call of the coalescer's ``forget``."""

    key: str = "a"
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process: a lease, perhaps with a coalescer before it, and its calls."""

    calls: tuple[Call, ...] = ()
    invalidations: tuple[Invalidation, ...] = ()
    opens: float = 0.0
    rate: float = 1.0
    """How many seconds its clock counts in one of the server's."""

    coalesces: bool = False
    """Whether there is a coalescer; what follows until the next comment is said of that."""

    forgets: tuple[Forget, ...] = ()
    on_abandon: Literal["cancel", "finish"] = "cancel"
    flight_timeout: float | None = None
    # Of the lease again:
    on_lost: Literal["cancel", "finish"] = "cancel"
    on_unreachable: Literal["run", "raise"] = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """What lies between processes and server; each chance is that of one thing it carries."""

    delays: tuple[float, ...] = (0.0,)
    """How long one way may take."""

    lost_requests: float = 0.0
    lost_answers: float = 0.0
    lost_messages: float = 0.0
    cuts: float = 0.0
    """A chance for an error in place of an answer: half of these requests have been obeyed."""

    @property
    def slowest(self) -> float:
        """How long one way takes at most."""
        return max(self.delays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The options of the leases, in seconds of each process's own clock."""

    ttl: float = 4.0
    poll_interval: float = 1.0
    outcome_ttl: float = 4.0
    request_timeout: float = 1.0
    retry_interval: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseProgram:
    """Processes, and what befalls them."""

    processes: tuple[Process, ...]
    troubles: tuple[Trouble, ...] = ()
    net: Net = Net()
    times: Times = Times()
    luck: int = 0
    """Decides what the network and the leases draw."""

    of: ClassVar = "lease"
    """What it is about: its name among the subjects."""

    def all_keys(self) -> list[str]:
        """Return every key that is called."""
        found: set[str] = set()
        for process in self.processes:
            found.update(call.key for call in process.calls)
            found.update(each.key for each in process.invalidations)
        return sorted(found)
