"""What the algorithm asks of the server that processes share: transitions and one subscription.

The state of a key, as every store keeps it:

- the *epoch*: the number of the last lease that was won, greater than all before it;
- the *lease*, if one is held: the token of the attempt that won it, and its end by the server's
  own clock;
- whether anybody *waits*: was told ``Busy`` since an outcome was last stored;
- the *outcome* of an epoch, for a while, and perhaps that of an older epoch beside a newer lease.

Invariants, each kept by doing every transition in one step:

1. A lease is won only while none is held, and its epoch is greater than any before.
2. An outcome is stored only by the token that holds the lease, so at most one for each epoch.
3. An outcome is handed out only to who may use its epoch.
4. After an invalidation neither the outcome nor the token is there: what began before it can
   store nothing. (So there is no separate counter of generations: the token, which belongs to one
   attempt only, is what an invalidation voids.)
"""

# Annotations are evaluated here, for the reason that `anyflight._events` gives.

__all__ = (
    "Acquired",
    "Busy",
    "Hear",
    "Hit",
    "LeaseStore",
    "Notice",
    "Outcome",
    "OutcomeKind",
    "Won",
)

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable


class OutcomeKind(StrEnum):
    """What the body of an outcome is.

    .. attribute:: VALUE

        A value, encoded by the codec.
    .. attribute:: STORED

        A value with what a cache has to know of it.
    .. attribute:: ERROR

        The type name and the message of an error, as JSON.
    .. attribute:: UNSHARED

        Empty: there was a value, but it cannot be shared. Whoever wants it runs the work.
    """

    VALUE = "v"
    STORED = "s"
    ERROR = "e"
    UNSHARED = "u"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an epoch.

    :ivar epoch: the epoch that it is of
    :ivar kind: what the body is
    :ivar body: see :class:`OutcomeKind`
    :ivar age: how many seconds ago it was stored, by the server's clock
    """

    epoch: int
    kind: OutcomeKind
    body: bytes
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Hit:
    """There is an outcome that this participant may use."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Won:
    """The attempt holds the lease.

    :ivar epoch: its number, the fencing number
    """

    epoch: int


@dataclass(frozen=True, slots=True)
class Busy:
    """Another attempt holds the lease.

    :ivar epoch: its number
    :ivar remaining: seconds until it ends, unless it is renewed
    """

    epoch: int
    remaining: float


Acquired: TypeAlias = Hit | Won | Busy


@dataclass(frozen=True, slots=True)
class Notice:
    """A message: a hint that it is time to ask again.

    :ivar key: what the message is about; None: all keys, which were invalidated
    :ivar invalidated: by whom the key was invalidated; empty if a lease has ended
    """

    key: str | None
    invalidated: str = ""


Hear: TypeAlias = Callable[[Notice], None]


@runtime_checkable
class LeaseStore(Protocol):
    """A server that all processes share, or what stands for one.

    Each method but `check`, `listen`, `keys` and `tag` is one transition, done in one step on the
    server, by the server's clock; of `tag` each tag is. Keys are strings, encoded. All times are
    durations in seconds. Whatever a method raises, but :exc:`LeaseConfigurationError`, says that
    the server could not be asked: then the transition may have happened, or not.
    :exc:`RequestRefusedError` says so of that request only.
    """

    async def check(self) -> None:
        """Return if the server is there and can do what is needed.

        :raises LeaseConfigurationError: if it never will, as it is set up
        """
        ...

    async def listen(self, hear: Hear, live: Callable[[], None]) -> None:
        """Subscribe, call ``live``, then call ``hear`` for each message until cancelled.

        :raises Exception: if the subscription cannot be had, or is lost. A return means the same
        """
        ...

    async def acquire(
        self, key: str, token: str, *, ttl: float, since: int, waited: bool = True
    ) -> Acquired:
        """Return an outcome that may be used, else win the lease, else say who holds it.

        :param token: of this attempt alone; if it holds the lease already, it has ``Won``
        :param since: the lowest epoch whose outcome may be used; with 0 none may
        :param waited: whether this call has asked before, if any may be used: then others may wait
            for it as well, though the server knows of none
        """
        ...

    async def renew(self, key: str, token: str, *, ttl: float) -> bool:
        """Let the lease last ``ttl`` seconds from now; False if this token does not hold it."""
        ...

    async def commit(
        self, key: str, token: str, outcome: Outcome, *, keep: float, wanted: bool
    ) -> bool:
        """Store an outcome, end the lease, and tell who waits.

        :param keep: for how long it is stored
        :param wanted: store it even if nobody waits
        :return: False, and nothing is done, if this token does not hold the lease; but True if the
            outcome of this epoch is what is stored, for a client may ask twice
        """
        ...

    async def release(self, key: str, token: str) -> bool:
        """End the lease without an outcome; False if this token does not hold it."""
        ...

    async def invalidate(self, key: str, origin: str) -> None:
        """Void the lease, drop the outcome, and tell everybody.

        :param origin: who does, without a colon: comes with the message
        """
        ...

    async def invalidate_all(self, origin: str) -> None:
        """Tell everybody that all keys are invalidated; to be called when those of `keys` are.

        For a key of which nothing is known here can be kept, and worked for, elsewhere.
        """
        ...

    async def replace(self, key: str, origin: str, outcome: Outcome, *, keep: float) -> None:
        """Do as `invalidate`, and store an outcome in place of what there was, in the same step.

        :param outcome: its epoch is of no account: it gets one as if a lease had been won for it
        :param keep: for how long it is stored
        """
        ...

    async def read(self, key: str) -> Outcome | None:
        """Return the outcome that is stored, whatever its epoch; no transition."""
        ...

    async def tag(self, key: str, tags: frozenset[str], *, keep: float) -> None:
        """Let `tagged` find the key by each of these tags, for ``keep`` seconds at least."""
        ...

    async def tagged(self, tag: str) -> list[str]:
        """Return the keys that were given this tag, and perhaps others that no longer matter."""
        ...

    def keys(self) -> AsyncGenerator[str, None]:
        """Yield every key that has any state throughout."""
        ...
