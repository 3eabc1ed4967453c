"""Failure: connections die without a word, as behind a router that was reset; new ones work.

Neither side is told. Only a client with a `max_idle_time` gives such connections up; coredis does
not for a request that has timed out.
"""

from __future__ import annotations

from servers.valkey import ValkeyServer
from tests.lease.driving import Join, assert_shared, eventually
from tests.lease.proxy import Proxy


def test_a_server_behind_dead_connections_is_found_again(
    join: Join, own_server: ValkeyServer, proxy: Proxy
) -> None:
    first, second = join(
        2, at=proxy, max_idle_time=1, request_timeout=0.2, retry_interval=0.05, poll_interval=0.2
    )
    with proxy.held("requests", "answers", links="old"):
        assert_shared(first, second)
        for each in (first, second):
            eventually(lambda: each.counts()["reconnects"] >= 1)  # noqa: B023 - called at once
