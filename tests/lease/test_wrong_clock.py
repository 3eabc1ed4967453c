"""Failure: the clock of one client is wrong by an hour."""

from __future__ import annotations

import time

import pytest

from servers.valkey import ValkeyServer
from tests.lease.driving import SLACK, Join, eventually

HOUR = 3600


@pytest.mark.parametrize("error", [-HOUR, HOUR], ids=["slow", "fast"])
def test_a_clock_that_is_wrong_by_an_hour_has_no_effect(
    join: Join, server: ValkeyServer, error: int
) -> None:
    ttl, poll = 1.5, 0.2
    (wrong,) = join(at=server, ttl=2 * ttl, poll_interval=poll, clock_error=error)
    right, third = join(2, at=server, ttl=ttl, poll_interval=poll)

    # It leads and renews its lease, and is waited for.
    work, waiting = wrong.leads(), right.waits()
    eventually(lambda: wrong.counts()["renewals"] >= 1)
    polls = right.counts()["polls"]
    eventually(lambda: right.counts()["polls"] >= polls + 2)
    work.finishes("from the wrong clock")
    assert (work.returns(), waiting.returns()) == ("from the wrong clock", "from the wrong clock")
    assert wrong.counts()["committed"] == 1
    assert (right.counts()["won"], right.counts()["shared"]) == (0, 1)

    # It waits, and succeeds a leader that was killed, neither too soon nor too late.
    asked = time.monotonic()
    right.leads("other")
    waiting = wrong.waits("other")
    right.worker.kill()
    killed = time.monotonic()
    number = waiting.begins()
    began = time.monotonic()
    assert number
    assert began - asked >= ttl
    assert began - killed < ttl + poll + SLACK
    waiting.finishes("taken over")
    assert waiting.returns() == "taken over"

    # Its numbers rise like everybody's.
    later = third.calls("other").begins()
    assert later is not None
    assert later > number
