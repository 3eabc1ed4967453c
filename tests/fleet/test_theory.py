"""How often a key is fetched by some processes, if they share and if they do not."""

from __future__ import annotations

import pytest

from fleet.strategies import BY_NAME, LEASE, LEASE_AND_CACHE, LOCAL, Strategy

SECONDS = 0.02
MANY = 1e9


def rate(strategy: Strategy, *, arrivals: float, processes: int) -> float:
    return strategy.theory(arrivals_per_second=arrivals, mean_seconds=SECONDS, processes=processes)


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_local_flights_tend_to_one_at_a_time_in_each_process(processes: int) -> None:
    assert rate(LOCAL, arrivals=MANY, processes=processes) == pytest.approx(processes / SECONDS)
    assert rate(LOCAL, arrivals=100, processes=processes) == pytest.approx(
        100 / (1 + 100 * SECONDS / processes)
    )


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_with_a_lease_there_is_one_at_a_time_in_all_of_them(processes: int) -> None:
    assert rate(LEASE, arrivals=MANY, processes=processes) == pytest.approx(1 / SECONDS)
    assert rate(LEASE, arrivals=100, processes=processes) == pytest.approx(
        100 / (1 + 100 * SECONDS)
    )


def test_in_one_process_a_lease_changes_nothing() -> None:
    assert rate(LEASE, arrivals=100, processes=1) == rate(LOCAL, arrivals=100, processes=1)


@pytest.mark.parametrize("name", ["lease and cache", "aiocache", "cashews", "dogpile.cache"])
def test_who_keeps_a_value_fetches_it_when_it_has_expired(name: str) -> None:
    strategy = BY_NAME[name]
    assert strategy.kept == LEASE_AND_CACHE.kept == 1
    assert rate(strategy, arrivals=MANY, processes=8) == pytest.approx(1 / (1 + SECONDS))
