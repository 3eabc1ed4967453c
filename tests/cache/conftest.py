"""A clock that the test moves, for a cache, for its flights, and for what they go through."""

from __future__ import annotations

import pytest

from tests.lease.conftest import clock as lease_clock
from tests.support import HandClock
from tests.support import clock as flights_clock

__all__ = ("across_clock", "clock", "flights_clock", "lease_clock")


@pytest.fixture
def clock(flights_clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> HandClock:
    now = flights_clock.current_time
    monkeypatch.setattr("anyflight.cache._first_tier.loop_clock", lambda: now)
    move_on_after = flights_clock.move_on_after
    monkeypatch.setattr("anyflight.cache._second_tier.move_on_after", move_on_after)
    return flights_clock


@pytest.fixture
def across_clock(clock: HandClock, lease_clock: HandClock) -> HandClock:
    """Let caches, their leases and the store between them go by one clock."""
    assert clock is lease_clock
    return clock
