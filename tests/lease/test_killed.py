"""Failure: the leader's process is killed with SIGKILL."""

from __future__ import annotations

import time

from servers.valkey import ValkeyServer
from tests.lease.driving import SLACK, Join, first_to_begin

# Long beside the slack, so that nobody may be late by another TTL or some polls.
TTL = 2
POLL = 2


def test_a_killed_leader_is_succeeded_by_exactly_one_within_the_ttl_and_one_poll(
    join: Join, server: ValkeyServer
) -> None:
    leader, *waiters = join(5, at=server, ttl=TTL, poll_interval=POLL)
    asked = time.monotonic()
    number = leader.calls().begins()
    calls = [waiter.waits() for waiter in waiters]

    leader.worker.kill()
    killed = time.monotonic()
    successor = first_to_begin(calls)
    began = time.monotonic()
    assert began - asked >= TTL
    assert began - killed < TTL + POLL + SLACK

    successor.finishes("the successor's")
    assert [call.returns() for call in calls] == ["the successor's"] * 4
    counts = [waiter.counts() for waiter in waiters]
    assert sum(each["won"] for each in counts) == 1
    assert sum(each["shared"] for each in counts) == 3
    # What comes later begins anew, under a greater number than all before.
    later = waiters[0].calls().begins()
    assert number is not None
    assert later is not None
    assert later > number


def test_a_successor_that_is_killed_too_is_succeeded(join: Join, server: ValkeyServer) -> None:
    leader, second, third = join(3, at=server, ttl=1.2, poll_interval=0.2)
    leader.leads()
    seconds = second.waits()
    leader.worker.kill()
    seconds.begins()
    thirds = third.waits()
    second.worker.kill()
    assert thirds.begins()
    thirds.finishes("third")
    assert thirds.returns() == "third"


def test_a_killed_waiter_is_missed_by_nobody(join: Join, server: ValkeyServer) -> None:
    leader, killed, other = join(3, at=server)
    work = leader.leads()
    killed.waits()
    waiting = other.waits()
    killed.worker.kill()
    work.finishes("value")
    assert (work.returns(), waiting.returns()) == ("value", "value")
