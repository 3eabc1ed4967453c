"""A cancellation at each step of small programs: a caller's, the owner's, and a leader's."""

from __future__ import annotations

import pytest

from proof.backends import BACKENDS
from proof.cache_scenarios import CACHE_SCENARIOS
from proof.checkpoints import chances, in_the_way, strike_all
from proof.faults import FAULTS
from proof.loader_scenarios import LOADER_SCENARIOS
from proof.plans import Policies, Way
from proof.scenarios import SCENARIOS

# Each program in turn on one back end. The eager task factory changes the order of first steps and
# nothing else, so a third of what has no policies will do for it. `python -m proof checkpoints`
# runs everything, in every way.
SOME = [name for name, program in SCENARIOS.items() if program.policies == Policies()][::3]
WAYS: list[tuple[str, Way]] = [
    ("asyncio", "native"),
    ("eager", "native timeout"),
    ("trio", "scope"),
]


CASES = [
    (backend, way, name)
    for turn, (backend, way) in enumerate(WAYS)
    if backend in BACKENDS
    for name in (SOME if backend == "eager" else [*SCENARIOS][turn // 2 :: 2])
]


@pytest.mark.parametrize(("backend", "way", "name"), CASES)
def test_every_law_holds_whenever_somebody_is_cancelled(backend: str, way: Way, name: str) -> None:
    program = in_the_way(SCENARIOS[name], way)
    results = list(strike_all(program, backend=backend, seed=0))
    assert [each for each in results if each[1]] == []
    assert len(results) > 5


# A third of the loader's, in turn on one back end; `python -m proof checkpoints` runs them all.
LOADER_CASES = [
    (*WAYS[2 * (number % 2)], name) for number, name in enumerate([*LOADER_SCENARIOS][::3])
]


@pytest.mark.parametrize(("backend", "way", "name"), LOADER_CASES)
def test_the_laws_hold_for_a_loader_whenever_somebody_is_cancelled(
    backend: str, way: Way, name: str
) -> None:
    results = list(strike_all(in_the_way(LOADER_SCENARIOS[name], way), backend=backend, seed=0))
    assert [each for each in results if each[1]] == []
    assert len(results) > 5


# A sixth of the cache's.
CACHE_CASES = [
    (*WAYS[2 * (number % 2)], name) for number, name in enumerate([*CACHE_SCENARIOS][::6])
]


@pytest.mark.parametrize(("backend", "way", "name"), CACHE_CASES)
def test_the_laws_hold_for_a_cache_whenever_somebody_is_cancelled(
    backend: str, way: Way, name: str
) -> None:
    results = list(strike_all(in_the_way(CACHE_SCENARIOS[name], way), backend=backend, seed=0))
    assert [each for each in results if each[1]] == []
    assert len(results) > 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_callers_the_owner_and_on_asyncio_leaders_are_struck(backend: str) -> None:
    found = chances(SCENARIOS["join"], backend=backend, seed=0)
    assert len(found) > 20
    leaders = set() if backend == "trio" else {"leader"}
    assert {strike.whom for strike in found} == {"caller", "owner"} | leaders
    assert {strike.number for strike in found if strike.whom == "caller"} == {0, 1, 2}


def test_a_fault_that_only_a_cancellation_at_one_step_can_show_is_found() -> None:
    program = SCENARIOS["miss"]
    (fault,) = (each for each in FAULTS if "though everybody has left" in each.name)
    with fault.planted():
        found = [each for each in strike_all(program, backend="asyncio", seed=0) if each[1]]
    ((strike, violations),) = found
    assert strike.whom == "caller"
    assert "law 3: execution 0 began, and nobody waited for it" in map(str, violations)
