"""The client that a lease is given."""

from __future__ import annotations

import coredis
import pytest

from anyflight.lease.valkey import ValkeyLease


def test_one_that_decodes_keys_as_something_else_than_they_are_is_refused() -> None:
    client = coredis.Redis(decode_responses=True, encoding="latin-1")
    with pytest.raises(ValueError, match="must not decode answers as 'latin-1'"):
        ValkeyLease[str](client, namespace="users")
    ValkeyLease[str](coredis.Redis(encoding="latin-1"), namespace="users")
    ValkeyLease[str](coredis.Redis(decode_responses=True), namespace="users")
