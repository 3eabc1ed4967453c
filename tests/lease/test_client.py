"""The client that a lease is given."""

from __future__ import annotations

import coredis
import pytest

from anyflight.lease import LeaseConfigurationError
from anyflight.lease.valkey import ValkeyLease
from servers.valkey import ValkeyServer


def test_one_that_decodes_keys_as_something_else_than_they_are_is_refused() -> None:
    client = coredis.Redis(decode_responses=True, encoding="latin-1")
    with pytest.raises(ValueError, match="must not decode answers as 'latin-1'"):
        ValkeyLease[str](client, namespace="users")
    ValkeyLease[str](coredis.Redis(encoding="latin-1"), namespace="users")
    ValkeyLease[str](coredis.Redis(decode_responses=True), namespace="users")


def test_one_with_a_single_connection_is_refused_for_the_subscription_keeps_that() -> None:
    with pytest.raises(ValueError, match="give it max_connections=2 or more"):
        ValkeyLease[str](coredis.Redis(max_connections=1), namespace="users")
    ValkeyLease[str](coredis.Redis(max_connections=2), namespace="users")


@pytest.mark.anyio
async def test_one_that_is_not_open_is_refused(server: ValkeyServer, namespace: str) -> None:
    client = coredis.Redis(host=server.host, port=server.port)
    lease = ValkeyLease[str](client, namespace=namespace)
    with pytest.raises(LeaseConfigurationError, match="the client is not open: open it with"):
        await lease.__aenter__()
    async with client, lease:
        assert lease.statistics().failures == 0
    with pytest.raises(LeaseConfigurationError, match="the client is not open: open it with"):
        await lease.__aenter__()
