"""Faults of published libraries are found: what finds none of them proves nothing."""

from __future__ import annotations

import pytest

from proof.cache_faults import CACHE_FAULTS
from proof.cache_programs import random_cache_program
from proof.faults import FAULTS
from proof.loader_faults import LOADER_FAULTS
from proof.loader_programs import random_loader_program
from proof.plans import Policies
from proof.planting import Fault, find
from proof.policy_faults import POLICY_FAULTS
from proof.programs import random_program

SEEDS = 1000

# Here those in policies are looked for where they can be found, and on one back end: that takes a
# second instead of ten. `python -m proof faults` looks for all of them everywhere.
WITH_POLICIES = [seed for seed in range(SEEDS) if random_program(seed).policies != Policies()]
CASES = [
    (backend, fault)
    for fault in FAULTS
    for backend in (["trio"] if fault in POLICY_FAULTS else ["asyncio", "trio"])
]


@pytest.mark.parametrize(
    ("backend", "fault"), CASES, ids=[f"{backend}-{fault.name}" for backend, fault in CASES]
)
def test_a_planted_fault_is_found_by_the_law_that_it_breaks(backend: str, fault: Fault) -> None:
    seeds = WITH_POLICIES if fault in POLICY_FAULTS else range(SEEDS)
    found = find(fault, backend, seeds)
    assert found is not None
    assert fault.law in {each.law for each in found.violations}
    assert f"--from {found.seed} --seeds 1 --backend {backend}" in str(found)


# One back end again: the seeds that find a fault are mostly the same on all.
@pytest.mark.parametrize("fault", LOADER_FAULTS, ids=[fault.name for fault in LOADER_FAULTS])
def test_a_fault_planted_into_the_loader_is_found(fault: Fault) -> None:
    found = find(fault, "asyncio", range(SEEDS), random_loader_program)
    assert found is not None
    assert f"--of loader --from {found.seed} --seeds 1 --backend asyncio" in str(found)


# Those that few seeds can show take seconds, and are left to `python -m proof faults`.
RARE = (
    "in memory alone",
    "is served from the store",
    "stays in the store",
    "no error is kept",
    "is asked at each hit",
    "in place of an error",
    "for that case",
)
COMMON = [fault for fault in CACHE_FAULTS if not fault.name.endswith(RARE)]


@pytest.mark.parametrize("fault", COMMON, ids=[fault.name for fault in COMMON])
def test_a_fault_planted_into_the_cache_is_found(fault: Fault) -> None:
    found = find(fault, "asyncio", range(SEEDS), random_cache_program)
    assert found is not None
    assert f"--of cache --from {found.seed} --seeds 1 --backend asyncio" in str(found)


def test_a_fault_is_gone_when_the_block_is_left() -> None:
    fault = FAULTS[0]
    before = getattr(fault.target, fault.attribute)
    with fault.planted():
        assert getattr(fault.target, fault.attribute) is not before
    assert getattr(fault.target, fault.attribute) is before


def test_a_program_of_a_loader_that_fails_is_made_smaller() -> None:
    (fault,) = (each for each in LOADER_FAULTS if "any number of batches" in each.name)
    found = find(fault, "trio", range(SEEDS), random_loader_program)
    assert found is not None
    with fault.planted():
        source = found.at_length().splitlines()[1]
    assert source.startswith("LoaderProgram(calls=(Load(keys=(")
    assert len(source) < len(repr(found.program)) / 2


def test_a_program_that_fails_is_made_smaller() -> None:
    (fault,) = (each for each in FAULTS if "clean-up" in each.name)
    found = find(fault, "trio", range(SEEDS))
    assert found is not None
    with fault.planted():
        text = found.at_length()
    source = text.splitlines()[1]
    assert source.startswith("Program(calls=(Call(")
    assert len(source) < len(repr(found.program)) / 2
    assert "law 4: " in text
