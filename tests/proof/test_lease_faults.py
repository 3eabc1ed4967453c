"""Faults of other locks are found when they are planted into the lease, in a second each."""

from __future__ import annotations

import pytest

from proof.lease.faults import LEASE_FAULTS
from proof.lease.programs import random_lease_program
from proof.planting import Fault, find

SEEDS = 1000


@pytest.mark.parametrize("fault", LEASE_FAULTS, ids=[fault.name for fault in LEASE_FAULTS])
def test_a_fault_planted_into_the_lease_is_found_by_the_law_that_it_breaks(fault: Fault) -> None:
    found = find(fault, "trio", range(SEEDS), random_lease_program)
    assert found is not None
    assert f"--of lease --from {found.seed} --seeds 1 --backend trio" in str(found)


def test_a_program_of_processes_that_fails_is_made_smaller() -> None:
    (fault,) = (each for each in LEASE_FAULTS if "relies on a message" in each.name)
    found = find(fault, "trio", range(SEEDS), random_lease_program)
    assert found is not None
    with fault.planted():
        source = found.at_length().splitlines()[1]
    assert source.startswith("LeaseProgram(processes=(Process(calls=(Call(")
    assert len(source) < len(repr(found.program)) / 2
