"""Failure: a call is cancelled, also while the answer to its request is on the wire."""

from __future__ import annotations

import time

from servers.valkey import ValkeyServer
from tests.lease.driving import SLACK, Driver, Join, eventually
from tests.lease.proxy import Proxy

LONG = {"ttl": 60, "poll_interval": 60}

# Long beside the slack, so that nobody may be late by another TTL or some polls.
TTL = 2
POLL = 2

# A request that is held takes as long; longer than a busy machine for one that is not.
TIMEOUT = 1.2


def has_a_connection(driver: Driver) -> None:
    """Let it have one that is free, so that its next request is the next that it sends.

    The one by which it has asked when it was opened its subscription has taken.
    """
    call = driver.leads("another")
    call.finishes()
    call.returns()


def test_a_lease_whose_answer_was_on_the_wire_is_given_back_when_it_arrives(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (hasty,), (other,) = join(at=proxy, **LONG, request_timeout=30), join(at=own_server, **LONG)
    has_a_connection(hasty)
    asked = own_server.command_counts()["evalsha"]
    with proxy.held("answers"):
        call = hasty.calls()
        eventually(lambda: own_server.command_counts()["evalsha"] > asked)
        call.is_cancelled()
    call.ends_cancelled()
    assert call.answer() == "won"
    assert not call.has_begun()
    other.leads()


def test_a_lease_whose_answer_never_arrives_is_an_orphan_for_one_ttl_at_most(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (hasty,) = join(at=proxy, ttl=TTL, request_timeout=TIMEOUT)
    (other,) = join(at=own_server, ttl=TTL, poll_interval=POLL)
    has_a_connection(hasty)
    asked = own_server.command_counts()["evalsha"]
    sent = time.monotonic()
    with proxy.held("answers"):
        call = hasty.calls()
        eventually(lambda: own_server.command_counts()["evalsha"] > asked)
        obeyed = time.monotonic()
        call.is_cancelled()
        successor = other.waits()
        call.ends_cancelled(within=TIMEOUT + SLACK)
        assert successor.begins()
        began = time.monotonic()
        proxy.cut()
    assert began - sent >= TTL
    assert began - obeyed < TTL + POLL + SLACK
    successor.finishes("value")
    assert successor.returns() == "value"
    assert other.counts()["fenced"] == 0


def test_a_request_that_arrives_after_its_cancellation_leaves_an_orphan_for_one_ttl_at_most(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (hasty,) = join(at=proxy, ttl=TTL, request_timeout=TIMEOUT)
    (other,) = join(at=own_server, ttl=TTL, poll_interval=POLL)
    has_a_connection(hasty)
    with proxy.held("requests"):
        call = hasty.calls()
        proxy.wait_until_held("requests", b"EVALSHA")
        call.is_cancelled()
        call.ends_cancelled(within=TIMEOUT + SLACK)
        asked = own_server.command_counts()["evalsha"]
        sent = time.monotonic()
    eventually(lambda: own_server.command_counts()["evalsha"] > asked)
    obeyed = time.monotonic()
    successor = other.waits()
    assert successor.begins()
    began = time.monotonic()
    assert began - sent >= TTL
    assert began - obeyed < TTL + POLL + SLACK
    successor.finishes("value")
    assert successor.returns() == "value"


def test_a_leader_that_is_cancelled_hands_over_at_once(join: Join, server: ValkeyServer) -> None:
    leader, waiter = join(2, at=server, **LONG)
    work = leader.leads()
    waiting = waiter.waits()
    work.is_cancelled()
    work.ends_cancelled()
    assert waiting.begins()
    waiting.finishes("value")
    assert waiting.returns() == "value"


def test_a_waiter_that_is_cancelled_disturbs_nobody(join: Join, server: ValkeyServer) -> None:
    leader, waiter, other = join(3, at=server, **LONG)
    work = leader.leads()
    cancelled, waiting = waiter.waits(), other.waits()
    cancelled.is_cancelled()
    cancelled.ends_cancelled()
    work.finishes("value")
    assert (work.returns(), waiting.returns()) == ("value", "value")
