"""A clock that the test moves, for a cache and for its flights."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.support import HandClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    clock = HandClock()
    for name in HandClock.READERS:
        monkeypatch.setattr(import_module(f"anyflight.{name}"), "current_time", clock.current_time)
    monkeypatch.setattr("anyflight._deadlines.sleep_until", clock.sleep_until)
    monkeypatch.setattr("anyflight.cache._first_tier.loop_clock", lambda: clock.current_time)
    monkeypatch.setattr("anyflight.cache._second_tier.move_on_after", clock.move_on_after)
    return clock
