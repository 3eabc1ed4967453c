"""What is dealt out to the processes is together what one of them would get."""

from __future__ import annotations

from itertools import chain

import pytest

from demo.traffic import HOT_USER
from fleet.traffic import ROWS, burst, spike, split, warm_up

TRACE = spike(rate=2000, seconds=2, hot=0.5)


def test_the_spike_is_the_demo_s_and_starts_at_zero() -> None:
    arrivals = TRACE.arrivals
    assert {each.part for each in arrivals} == {"spike"}
    assert 0 <= arrivals[0].due < arrivals[-1].due < 2 == TRACE.end == TRACE.spike_seconds
    assert len(arrivals) == pytest.approx(4000, rel=0.1)
    assert TRACE.rate_of_hot_user() == pytest.approx(1000, rel=0.1)
    assert {each.user_id for each in arrivals} <= set(range(1, ROWS + 1))


@pytest.mark.parametrize("processes", [1, 3, 8])
def test_every_arrival_goes_to_one_process(processes: int) -> None:
    parts = split(TRACE, processes)
    assert len(parts) == processes
    dealt = sorted(chain.from_iterable(part.arrivals for part in parts))
    assert dealt == sorted(TRACE.arrivals)
    for part in parts:
        assert list(part.arrivals) == sorted(part.arrivals)
        assert part.rate_of_hot_user() == pytest.approx(1000 / processes, rel=0.2)


def test_the_same_traffic_is_dealt_out_in_every_run() -> None:
    assert split(TRACE, 3) == split(spike(rate=2000, seconds=2, hot=0.5), 3)


def test_a_burst_is_dealt_out_evenly_and_due_at_once() -> None:
    parts = burst(ROWS + 1, calls=20, processes=3)
    assert [len(part.arrivals) for part in parts] == [7, 7, 6]
    assert {each for part in parts for each in part.arrivals} == {(0.0, ROWS + 1, "spike")}


def test_a_warm_up_asks_for_users_of_its_own() -> None:
    users = {each.user_id for each in warm_up(first=ROWS + 1, seconds=0.5).arrivals}
    assert users == set(range(ROWS + 1, ROWS + 21))
    assert HOT_USER not in users
