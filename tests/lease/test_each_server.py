"""What the lease does, on each kind of server that there is."""

from __future__ import annotations

from servers.valkey import ValkeyServer
from tests.lease.driving import Join, eventually

LONG = {"ttl": 60, "poll_interval": 60}


def test_flights_are_shared_and_end_in_every_way(join: Join, each_server: ValkeyServer) -> None:
    first, second = join(2, at=each_server, **LONG)

    work, waiting = first.leads("value"), second.waits("value")
    work.finishes("value")
    assert (work.returns(), waiting.returns()) == ("value", "value")

    work, waiting = first.leads("error"), second.waits("error")
    work.finishes(error="on demand")
    assert work.raises() == ("RuntimeError", "on demand")
    assert waiting.raises()[0] == "RemoteFlightError"

    work, waiting = first.leads("cancelled"), second.waits("cancelled")
    work.is_cancelled()
    work.ends_cancelled()
    waiting.finishes("by another")
    assert waiting.returns() == "by another"

    work, waiting = first.leads("invalidated"), second.waits("invalidated")
    second.invalidates("invalidated")
    assert waiting.begins()
    work.finishes("old")
    waiting.finishes("new")
    assert (work.returns(), waiting.returns()) == ("old", "new")

    left = first.leaves()
    assert (left["committed"], left["fenced"], left["failures"]) == (2, 1, 0)
    second.leaves()


def test_a_killed_leader_is_succeeded(join: Join, each_server: ValkeyServer) -> None:
    leader, waiter = join(2, at=each_server, ttl=0.4, poll_interval=0.2)
    leader.leads()
    waiting = waiter.waits()
    leader.worker.kill()
    assert waiting.begins()


def test_nothing_is_left_on_the_server(
    join: Join, each_server: ValkeyServer, namespace: str
) -> None:
    first, second = join(2, at=each_server, **LONG, outcome_ttl=0.5)
    alone, shared, waiting = first.leads("alone"), first.leads("shared"), second.waits("shared")
    for work in (alone, shared):
        work.finishes("value")
        assert work.returns() == "value"
    assert waiting.returns() == "value"
    names = f"anyflight:{namespace}:*"
    eventually(lambda: each_server.command("KEYS", names) == [])
