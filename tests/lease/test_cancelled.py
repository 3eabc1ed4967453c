"""Failure: a call is cancelled, also while the answer to its request is on the wire."""

from __future__ import annotations

import time

from servers.valkey import ValkeyServer
from tests.lease.driving import SLACK, Join, eventually
from tests.lease.proxy import Proxy

LONG = {"ttl": 60, "poll_interval": 60}


def test_a_lease_whose_answer_was_on_the_wire_is_given_back_when_it_arrives(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (hasty,), (other,) = join(at=proxy, **LONG, request_timeout=30), join(at=own_server, **LONG)
    warm = hasty.leads("another")  # so that it has a connection
    warm.finishes()
    warm.returns()
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
    ttl, poll = 0.5, 0.25
    (hasty,) = join(at=proxy, ttl=ttl, request_timeout=0.2)
    (other,) = join(at=own_server, ttl=ttl, poll_interval=poll)
    with proxy.held("answers"):
        call = hasty.calls()
        proxy.wait_until_held("answers")
        call.is_cancelled()
        call.ends_cancelled(within=2 * 0.2 + SLACK)
        began = time.monotonic()
        successor = other.calls()
        assert successor.begins(within=ttl + poll + SLACK)
        assert time.monotonic() - began < ttl + poll + SLACK
        proxy.cut()
    successor.finishes("value")
    assert successor.returns() == "value"
    assert other.counts()["fenced"] == 0


def test_a_request_that_arrives_after_its_cancellation_leaves_an_orphan_for_one_ttl_at_most(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    ttl, poll = 0.5, 0.25
    (hasty,) = join(at=proxy, ttl=ttl, request_timeout=0.2)
    (other,) = join(at=own_server, ttl=ttl, poll_interval=poll)
    warm = hasty.leads("another")  # so that it has a connection
    warm.finishes()
    warm.returns()
    with proxy.held("requests"):
        call = hasty.calls()
        proxy.wait_until_held("requests", b"EVALSHA")
        call.is_cancelled()
        call.ends_cancelled()
    # It may arrive before this or after: the server obeys each in its turn.
    successor = other.calls()
    assert successor.begins(within=ttl + poll + SLACK)
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
