"""`across` without a server that answers: values are loaded and kept here, nothing is hidden."""

from __future__ import annotations

import pytest

from tests.cache.fleet import fleet
from tests.cache.getting import Source
from tests.support import HandClock

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]

LOST = ConnectionError("lost")


async def test_values_are_loaded_and_kept_until_the_server_is_back(
    across_clock: HandClock,
) -> None:
    source = Source()
    async with fleet(2, ttl=100) as (one, two):
        one.store.down = LOST
        for _ in range(3):
            assert await one.cache.get("k", source, tags=["a"]) == 1
        requests = len(one.store.requests)
        assert await one.cache.get("other", source, tags=["a"]) == 2
        assert len(one.store.requests) == requests  # the server is left in peace
        assert one.counts.outages == 1
        one.store.down = None
        across_clock.advance(1)
        assert await one.get("shared", source) == 3
        assert await two.get("shared", source) == 3
        assert await two.get("k", source) == 4  # nobody else has what was loaded meanwhile


async def test_what_is_too_old_is_not_served_for_the_doubt(
    across_clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server cannot be asked for what is stored, and can when the work is to begin."""
    source = Source()
    async with fleet(1, ttl=10, stale_if_error=100) as (one,):
        await one.get("k", source)
        across_clock.advance(50)
        one.store.down = LOST
        await one.get("another", source)
        one.store.down = None
        now = across_clock.now
        times = iter([now, now + 1])
        with monkeypatch.context() as patch:
            patch.setattr("anyflight.lease._requests.current_time", lambda: next(times, now + 1))
            assert await one.get("k", source) == 3
