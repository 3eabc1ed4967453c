"""Failure: a hundred processes wait for one key."""

from __future__ import annotations

import time
from functools import partial
from itertools import chain

from servers.valkey import ValkeyServer
from tests.lease.driving import Join, JoinBy, eventually

HALF = 50
WAITERS = 2 * HALF - 1
POLL = 1.0


def test_a_hundred_waiting_processes_subscribe_once_each_and_ask_once_in_a_poll_interval(
    join_by: JoinBy, own_server: ValkeyServer, namespace: str
) -> None:
    leader, *waiters = chain(
        join_by("asyncio", HALF, at=own_server, ttl=60, poll_interval=POLL),
        join_by("trio", HALF, at=own_server, ttl=60, poll_interval=POLL),
    )
    channel = f"anyflight:{namespace}"
    subscriptions = partial(own_server.command, "PUBSUB", "NUMSUB", channel)
    assert subscriptions() == [channel, 1 + WAITERS]
    work = leader.leads()
    own_server.forget_counts()
    began = time.monotonic()
    calls = [waiter.waits() for waiter in waiters]

    # Each asks again after half a poll interval at the soonest.
    eventually(lambda: own_server.command_counts()["evalsha"] > 1.5 * WAITERS)
    asked = own_server.command_counts()["evalsha"]
    assert asked <= WAITERS * (1 + (time.monotonic() - began) / (POLL / 2))

    # Each is told of the end and asks once more, and that is all.
    work.finishes("value")
    assert {call.returns() for call in calls} == {"value"}
    statistics = [waiter.counts() for waiter in waiters]
    assert {each["shared"] for each in statistics} == {1}
    counts = own_server.command_counts()
    assert counts["publish"] == 1
    assert subscriptions() == [channel, 1 + WAITERS]
    # What they have counted is what the server has, but for the leader's commit.
    asked = counts["evalsha"] - 1
    assert sum(1 + each["polls"] + each["woken"] for each in statistics) == asked


def test_only_one_of_many_runs_the_work_when_the_leader_is_killed(
    join: Join, own_server: ValkeyServer
) -> None:
    leader, *waiters = join(20, at=own_server, ttl=0.5, poll_interval=0.5)
    leader.leads()
    calls = [waiter.waits() for waiter in waiters]
    for call in calls:
        call.finishes("value")
    leader.worker.kill()
    assert {call.returns() for call in calls} == {"value"}
    statistics = [waiter.counts() for waiter in waiters]
    assert sum(each["ran"] for each in statistics) == 1
    assert sum(each["shared"] for each in statistics) == len(waiters) - 1
