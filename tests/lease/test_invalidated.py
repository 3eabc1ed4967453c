"""Failure: a key is invalidated during its flight."""

from __future__ import annotations

import pytest

from servers.valkey import ValkeyServer
from tests.lease.driving import KEY, Join


def test_the_late_value_is_not_stored_and_its_waiters_are_still_served(
    join: Join, server: ValkeyServer, namespace: str
) -> None:
    leader, waiter, writer = join(3, at=server)
    work = leader.leads(through="coalescer")
    local = leader.calls(through="coalescer")
    waiting = waiter.waits()
    writer.invalidates()
    # Those of other processes get the outcome of work that has begun since.
    assert waiting.begins()

    work.finishes("old")
    assert (work.returns(), local.returns()) == ("old", "old")
    assert leader.counts()["fenced"] == 1
    waiting.finishes("new")
    assert waiting.returns() == "new"
    assert server.command("HGET", f"anyflight:{namespace}:{KEY}", "b") in {None, '"new"'}


def test_after_an_invalidation_an_outcome_that_is_stored_is_used_by_nobody(
    join: Join, server: ValkeyServer, namespace: str
) -> None:
    leader, waiter, late = join(3, at=server, poll_interval=60)
    work = leader.leads()
    waiting = waiter.waits()
    late_waiting = late.waits()
    late.worker.stop()
    work.finishes("old")
    assert waiting.returns() == "old"
    waiter.invalidates()
    late.worker.resume()
    assert late_waiting.begins()
    late_waiting.finishes("new")
    assert late_waiting.returns() == "new"


@pytest.mark.parametrize("by", ["leader", "waiter"])
def test_whoever_invalidates_its_own_later_calls_get_what_began_since(
    join: Join, server: ValkeyServer, by: str
) -> None:
    leader, waiter = join(2, at=server)
    writer = {"leader": leader, "waiter": waiter}[by]
    work = leader.leads()
    writer.invalidates()
    again = writer.calls()
    assert again.begins()
    work.finishes("old")
    again.finishes("new")
    assert (work.returns(), again.returns()) == ("old", "new")
