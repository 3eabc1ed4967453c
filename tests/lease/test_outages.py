"""Failure: the server is down at the start, or during calls, and is back later."""

from __future__ import annotations

from servers.valkey import ValkeyServer
from tests.lease.driving import KEY, Driver, Join, assert_shared, eventually
from tests.lease.proxy import Proxy

QUICK = {"poll_interval": 0.2, "retry_interval": 0.05}


def assert_runs_alone(driver: Driver, value: str) -> None:
    """Check that a call runs its work without a lease, and without an error."""
    call = driver.calls()
    assert call.begins() is None
    call.finishes(value)
    assert call.returns() == value


def test_with_the_server_down_at_the_start_calls_run_and_are_shared_when_it_is_back(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    with proxy.down():
        first, second = join(2, at=proxy, **QUICK)
        assert_runs_alone(first, "first")
        assert_runs_alone(second, "second")
        assert first.counts()["ran_unreachable"] == 1
    assert_shared(first, second)
    assert first.counts()["outages"] == 1


def test_with_the_server_down_during_calls_they_run_and_are_shared_when_it_is_back(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    first, second = join(2, at=proxy, **QUICK)
    with proxy.down():
        assert_runs_alone(first, "first")
        assert_runs_alone(second, "second")
    assert_shared(first, second)


def test_calls_run_although_the_server_hangs_and_are_shared_when_it_goes_on(
    join: Join, own_server: ValkeyServer
) -> None:
    first, second = join(2, at=own_server, **QUICK, request_timeout=0.2)
    with own_server.frozen():
        for each in (first, second):
            assert_runs_alone(each, "value")
            assert_runs_alone(each, "another")
            assert each.counts()["ran_unreachable"] == 2
    assert_shared(first, second)


def test_an_answer_that_comes_too_late_is_taken_for_no_other(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (first,), (second,) = join(at=proxy, **QUICK, request_timeout=0.2), join(at=own_server)
    with proxy.held("answers"):
        assert_runs_alone(first, "without an answer")
    assert_shared(first, second, "another key")


def test_a_waiter_runs_its_work_when_the_server_goes_down(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (leader,), (waiter,) = join(at=own_server), join(at=proxy, **QUICK)
    leader.leads()
    waiting = waiter.waits()
    with proxy.down():
        assert waiting.begins() is None
        waiting.finishes("its own")
        assert waiting.returns() == "its own"


def test_a_leader_returns_its_value_although_the_server_cannot_be_told(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (leader,) = join(at=proxy, **QUICK)
    work = leader.leads()
    with proxy.down():
        work.finishes("value")
        assert work.returns() == "value"
        assert leader.counts()["uncommitted"] == 1


def test_a_leader_that_cannot_renew_its_lease_loses_it_and_runs_its_work_without(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    (leader,) = join(at=proxy, **QUICK, ttl=0.3)
    work = leader.leads()
    with proxy.down():
        assert work.begins() is None
        work.finishes("value")
        assert work.returns() == "value"
        counts = leader.counts()
        assert (counts["lost"], counts["ran_unreachable"]) == (1, 1)


def test_a_leader_keeps_its_lease_through_an_outage_that_is_shorter(
    join: Join, own_server: ValkeyServer, proxy: Proxy, namespace: str
) -> None:
    (leader,), (waiter,) = join(at=proxy, **QUICK, ttl=5), join(at=own_server, **QUICK)

    def ends() -> int:
        return int(own_server.command("HGET", f"anyflight:{namespace}:{KEY}", "u"))

    work = leader.leads()
    waiting = waiter.waits()
    with proxy.down():
        asked, end = leader.counts()["requests"], ends()
        eventually(lambda: leader.counts()["requests"] > asked)  # a renewal: nobody else asks
        # Subscribing fails as well. In the time of three failures the renewal's is among them: the
        # client tries each as often.
        failed = leader.counts()["failures"]
        eventually(lambda: leader.counts()["failures"] >= failed + 3)
        assert ends() == end
    # The next renewal is in time, and the lease lasts longer by that.
    eventually(lambda: ends() > end)
    work.finishes("value")
    assert (work.returns(), waiting.returns()) == ("value", "value")
    counts = leader.counts()
    assert (counts["won"], counts["lost"], counts["committed"]) == (1, 0, 1)
    counts = waiter.counts()
    assert (counts["won"], counts["shared"]) == (0, 1)
