"""Failure: the clock of one client is wrong by an hour."""

from __future__ import annotations

import pytest

from servers.valkey import ValkeyServer
from tests.lease.driving import SLACK, Join, eventually

HOUR = 3600


@pytest.mark.parametrize("error", [-HOUR, HOUR], ids=["slow", "fast"])
def test_a_clock_that_is_wrong_by_an_hour_has_no_effect(
    join: Join, server: ValkeyServer, error: int
) -> None:
    ttl, poll = 0.9, 0.2
    (wrong,) = join(at=server, ttl=ttl, poll_interval=poll, clock_error=error)
    right, third = join(2, at=server, ttl=ttl, poll_interval=poll)

    # It leads for longer than a lease lasts, and is waited for.
    work, waiting = wrong.leads(), right.waits()
    eventually(lambda: wrong.counts()["renewals"] >= 3)
    assert not waiting.has_begun()
    work.finishes("from the wrong clock")
    assert (work.returns(), waiting.returns()) == ("from the wrong clock", "from the wrong clock")
    assert wrong.counts()["committed"] == 1

    # It waits, and succeeds a leader that was killed, neither too soon nor too late.
    right.leads("other")
    waiting = wrong.waits("other")
    eventually(lambda: right.counts()["renewals"] >= 3)
    assert not waiting.has_begun()
    right.worker.kill()
    number = waiting.begins(within=ttl + poll + SLACK)
    assert number
    waiting.finishes("taken over")
    assert waiting.returns() == "taken over"

    # Its numbers rise like everybody's.
    later = third.calls("other").begins()
    assert later is not None
    assert later > number
