"""The lease on a cluster: each key lives on one of its nodes, messages reach all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.cluster import temporary_cluster
from servers.valkey import ValkeyServer
from tests.lease.driving import Join, JoinBy, assert_shared

CLUSTER = {"mode": "cluster", "poll_interval": 60}
# Of keys `anyflight:test-...:key 0` and so on; which node has which differs from test to test.
KEYS = [f"key {number}" for number in range(12)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[ValkeyServer, ...]]:
    with temporary_cluster() as nodes:
        yield nodes


def test_flights_are_shared_whatever_node_a_key_is_on(
    join: Join, nodes: tuple[ValkeyServer, ...]
) -> None:
    for node in nodes:
        node.forget_counts()
    # They enter the cluster by different nodes.
    (leader,), (waiter,) = join(at=nodes[0], **CLUSTER), join(at=nodes[1], **CLUSTER)
    for key in KEYS:
        work = leader.leads(key)
        waiting = waiter.waits(key)
        work.finishes(f"value of {key}")
        assert waiting.returns() == f"value of {key}"
    assert waiter.counts()["shared"] == len(KEYS)
    assert all(node.command_counts()["hmget"] for node in nodes)


def test_an_invalidation_reaches_every_process(join: Join, nodes: tuple[ValkeyServer, ...]) -> None:
    (leader,), (waiter,) = join(at=nodes[0], **CLUSTER), join(at=nodes[1], **CLUSTER)
    (writer,) = join(at=nodes[2], **CLUSTER)
    for key in KEYS[:3]:
        work = leader.leads(key)
        waiting = waiter.waits(key)
        writer.invalidates(key)
        assert waiting.begins()
        work.finishes("old")
        waiting.finishes("new")
        assert (work.returns(), waiting.returns()) == ("old", "new")
    assert leader.counts()["fenced"] == 3


def test_a_killed_leader_is_succeeded(join: Join, nodes: tuple[ValkeyServer, ...]) -> None:
    leader, waiter = join(2, at=nodes[0], **{**CLUSTER, "poll_interval": 0.3}, ttl=0.5)
    leader.leads()
    waiting = waiter.waits()
    leader.worker.kill()
    assert waiting.begins()


def test_calls_run_while_a_node_is_down_and_are_shared_when_it_is_back(
    join_by: JoinBy, nodes: tuple[ValkeyServer, ...]
) -> None:
    options = {"at": nodes[0], "mode": "cluster", "poll_interval": 0.2, "retry_interval": 0.05}
    (first,), (second,) = join_by("asyncio", **options), join_by("trio", **options)
    nodes[1].kill()
    for key in KEYS:
        for each in (first, second):
            call = each.calls(key)
            call.finishes("value")
            assert call.returns() == "value"
    nodes[1].start()
    for node in nodes:
        node.wait_for_cluster(nodes=len(nodes))
    for key in KEYS:
        assert_shared(first, second, key)
