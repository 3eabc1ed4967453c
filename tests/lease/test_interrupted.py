"""Failures: a message is lost, the subscription dropped, the server restarted in mid-flight."""

from __future__ import annotations

from servers.valkey import ValkeyServer
from tests.lease.driving import Join, assert_shared, eventually
from tests.lease.proxy import Proxy

SUBSCRIPTION = b"SUBSCRIBE"

QUICK = {"poll_interval": 0.2, "retry_interval": 0.1}


def test_a_waiter_whose_message_is_lost_finishes_by_asking_again(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (leader,), (waiter,) = join(at=own_server), join(at=proxy, poll_interval=0.2)
    work = leader.leads()
    waiting = waiter.waits()
    with proxy.held("answers", of=SUBSCRIPTION):
        work.finishes("value")
        assert work.returns() == "value"
        proxy.wait_until_held("answers", b"message")
        assert waiting.returns() == "value"
        counts = waiter.counts()
        assert (counts["woken"], counts["shared"]) == (0, 1)
        proxy.cut(of=SUBSCRIPTION)  # so it is lost for good


def test_a_waiter_whose_subscription_is_dropped_finishes_and_subscribes_again(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (leader,), (waiter,) = join(at=own_server), join(at=proxy, **QUICK)
    work = leader.leads()
    waiting = waiter.waits()
    proxy.cut(of=SUBSCRIPTION)
    work.finishes("value")
    assert (work.returns(), waiting.returns()) == ("value", "value")
    eventually(lambda: waiter.counts()["reconnects"] == 1)


def test_a_message_arrives_over_a_subscription_that_was_had_again(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (leader,) = join(at=own_server)
    (waiter,) = join(at=proxy, poll_interval=60, retry_interval=0.1)
    proxy.cut(of=SUBSCRIPTION)
    eventually(lambda: waiter.counts()["reconnects"] == 1)
    work = leader.leads()
    waiting = waiter.waits()
    work.finishes("value")
    assert waiting.returns() == "value"
    counts = waiter.counts()
    assert (counts["woken"], counts["polls"]) == (1, 0)


def test_a_waiter_whose_every_connection_is_cut_finishes(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (leader,), (waiter,) = join(at=own_server), join(at=proxy, **QUICK)
    work = leader.leads()
    waiting = waiter.waits()
    waiting.finishes("its own")
    proxy.cut()
    work.finishes("value")
    assert work.returns() == "value"
    assert waiting.returns() in {"value", "its own"}


def test_leader_and_waiter_finish_although_the_server_is_restarted(
    join: Join, own_server: ValkeyServer
) -> None:
    leader, waiter = join(2, at=own_server, **QUICK)
    work = leader.leads()
    waiting = waiter.waits()
    own_server.restart()
    work.finishes("the leader's")
    waiting.finishes("the waiter's")
    assert work.returns() == "the leader's"
    # Of the leader's work the server may not have heard.
    assert waiting.returns() in {"the leader's", "the waiter's"}


def test_work_goes_on_under_another_lease_when_the_restarted_server_knows_of_none(
    join: Join, own_server: ValkeyServer
) -> None:
    (leader,), (second,) = join(at=own_server, **QUICK, ttl=3), join(at=own_server, **QUICK)
    work = leader.leads()
    leader.worker.stop()  # so that it is the other who asks first
    own_server.restart()
    eventually(lambda: second.counts()["reconnects"] == 1)
    successor = second.leads()
    leader.worker.resume()
    # Its renewal is refused: its work is cancelled, and it waits for the successor's.
    assert work.answer() == "busy"
    work.finishes("the first's")
    successor.finishes("the second's")
    assert (work.returns(), successor.returns()) == ("the second's", "the second's")
    counts = leader.counts()
    assert (counts["lost"], counts["shared"], counts["ran"]) == (1, 1, 0)
    assert second.counts()["ran"] == 1


def test_after_a_restart_of_the_server_flights_are_shared_again(
    join: Join, own_server: ValkeyServer
) -> None:
    first, second = join(2, at=own_server, **QUICK)
    own_server.restart()
    assert_shared(first, second)


def test_fencing_numbers_go_on_rising_although_the_server_has_lost_its_data(
    join: Join, own_server: ValkeyServer
) -> None:
    before, after = join(2, at=own_server, **QUICK)
    first = before.calls()
    number = first.begins()
    own_server.restart()
    eventually(lambda: after.counts()["reconnects"] == 1)
    later = after.calls().begins()
    assert number is not None
    assert later is not None
    assert later > number
    first.finishes()
    first.returns()
