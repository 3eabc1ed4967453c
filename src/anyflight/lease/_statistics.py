"""What a lease has done, counted."""

# Annotations are evaluated here, for the reason that `anyflight._events` gives.

__all__ = ("Counters", "LeaseStatistics")

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseStatistics:
    """What a lease has done since it was made, and what it is doing now.

    Each call of ``execute`` ends in one of six ways: at every moment ::

        calls == (ran + ran_unreachable + ran_unshared
                  + shared + remote_errors + given_up + taking_part)

    So does each lease that was won ::

        won == committed + fenced + uncommitted + released + lost + holding

    :ivar calls: calls of ``execute`` that were taken. With ``Coalescer(across=...)`` they are its
        flights, not its calls
    :ivar ran: calls that ran the work under a lease and got its value, or its error
    :ivar ran_unreachable: calls that ran the work without a lease, since the server could not be
        asked
    :ivar ran_unshared: calls that ran the work without a lease, since its value cannot be shared:
        the codec refused it, there or here, or it was too large
    :ivar shared: calls that got a value from another process, or another call of this one
    :ivar remote_errors: calls that got an error from there
    :ivar given_up: calls that were cancelled, or refused by an error of this library
    :ivar won: leases won
    :ivar committed: outcomes stored, or not even wanted, errors included
    :ivar fenced: outcomes that came too late: another lease had been won, or the key invalidated
    :ivar uncommitted: outcomes of which the server could not be told
    :ivar refused: values that the codec refused, or that were too large
    :ivar lost: leases lost while the work ran, which was cancelled for that. With
        ``on_lost="finish"`` it is not, and its outcome is ``fenced``
    :ivar released: leases given back without an outcome, since the call was cancelled
    :ivar renewals: how often a lease was renewed
    :ivar polls: how often the server was asked again because a wait was over, and
    :ivar woken: because of a message
    :ivar requests: requests made of the store, those that failed included. To give a key some tags
        is one, to look through all keys one for each. What the subscription asks is not counted
    :ivar failures: requests, and attempts to subscribe, that failed or took too long
    :ivar outages: how often the server became unreachable
    :ivar reconnects: how often the subscription was had after a time without
    :ivar taking_part: calls of ``execute`` that go on now
    :ivar holding: leases held now
    :ivar reachable: whether the server has answered the last request, or was not asked yet
    """

    calls: int
    ran: int
    ran_unreachable: int
    ran_unshared: int
    shared: int
    remote_errors: int
    given_up: int
    won: int
    committed: int
    fenced: int
    uncommitted: int
    refused: int
    lost: int
    released: int
    renewals: int
    polls: int
    woken: int
    requests: int
    failures: int
    outages: int
    reconnects: int
    taking_part: int
    holding: int
    reachable: bool


@dataclass(slots=True)
class Counters:
    """The counters while they count; each is written where what it counts is done."""

    calls: int = 0
    ran: int = 0
    ran_unreachable: int = 0
    ran_unshared: int = 0
    shared: int = 0
    remote_errors: int = 0
    given_up: int = 0
    won: int = 0
    committed: int = 0
    fenced: int = 0
    uncommitted: int = 0
    refused: int = 0
    lost: int = 0
    released: int = 0
    renewals: int = 0
    polls: int = 0
    woken: int = 0
    requests: int = 0
    failures: int = 0
    outages: int = 0
    reconnects: int = 0
    taking_part: int = 0
    holding: int = 0

    def add(self, name: str) -> None:
        """Count one more in the counter of this name."""
        setattr(self, name, getattr(self, name) + 1)

    def statistics(self, *, reachable: bool) -> LeaseStatistics:
        """Return the counters as they are now."""
        return LeaseStatistics(**asdict(self), reachable=reachable)
