"""Failure: a value cannot be encoded or is too large, or the work fails."""

from __future__ import annotations

from typing import Any

import pytest

from servers.valkey import ValkeyServer
from tests.lease.driving import UNENCODABLE, Join


@pytest.mark.parametrize("value", [UNENCODABLE, "x" * 1000], ids=["unencodable", "too large"])
def test_a_value_that_cannot_be_shared_is_returned_where_it_was_made_and_made_by_the_others(
    join: Join, server: ValkeyServer, value: Any
) -> None:
    leader, *waiters = join(3, at=server, max_value_bytes=100, ttl=60, poll_interval=60)
    work = leader.leads(through="coalescer")
    local = leader.calls(through="coalescer")
    calls = [waiter.waits() for waiter in waiters]
    work.finishes(value)
    assert (work.returns(), local.returns()) == (value, value)
    assert leader.counts()["refused"] == 1

    for call in calls:
        assert call.begins() is None
        call.finishes(value)
        assert call.returns() == value
    assert [waiter.counts()["ran_unshared"] for waiter in waiters] == [1, 1]
    # The lease was given back: else the next would wait for a minute.
    leader.leads()


def test_a_value_that_is_just_small_enough_is_shared(join: Join, server: ValkeyServer) -> None:
    leader, waiter = join(2, at=server, max_value_bytes=100)
    work, waiting = leader.leads(), waiter.waits()
    value = "x" * 98  # and two quotation marks
    work.finishes(value)
    assert waiting.returns() == value
    assert (leader.counts()["refused"], waiter.counts()["shared"]) == (0, 1)


def test_an_error_reaches_those_who_wait_and_nobody_later(join: Join, server: ValkeyServer) -> None:
    leader, waiter, late = join(3, at=server)
    work, waiting = leader.leads(), waiter.waits()
    work.finishes(error="on demand")
    assert work.raises() == ("RuntimeError", "on demand")
    kind, text = waiting.raises()
    assert kind == "RemoteFlightError"
    assert "builtins.RuntimeError: on demand" in text
    late.leads()
