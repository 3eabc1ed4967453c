"""A clock that the test moves, for a cache and for its flights."""

from __future__ import annotations

import pytest

from tests.support import HandClock
from tests.support import clock as flights_clock

__all__ = ("clock", "flights_clock")


@pytest.fixture
def clock(flights_clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> HandClock:
    now = flights_clock.current_time
    monkeypatch.setattr("anyflight.cache._first_tier.loop_clock", lambda: now)
    move_on_after = flights_clock.move_on_after
    monkeypatch.setattr("anyflight.cache._second_tier.move_on_after", move_on_after)
    return flights_clock
