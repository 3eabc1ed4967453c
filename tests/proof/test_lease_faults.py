"""Faults of other locks are found when they are planted into the lease, in a second each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proof.lease.faults import LEASE_FAULTS, RARE_FAULT
from proof.lease.plans import Call, Invalidation, LeaseProgram, Net, Process, Work
from proof.lease.programs import random_lease_program
from proof.planting import Fault, find
from proof.search import failures

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


def test_a_fault_that_few_random_programs_find_is_found_by_one_that_is_made_for_it() -> None:
    """The outcome has left the server when the key is invalidated, and comes after that is done."""

    def make(luck: int) -> LeaseProgram:
        leader = Process(calls=(Call(work=Work(lasts=0.5)),))
        read = Call(work=Work(lasts=0.25))
        write = Invalidation(at=0.625, then=read)
        early = replace(read, at=0.25)
        writer = Process(calls=(early,), invalidations=(write,), coalesces=True)
        net = Net(delays=(1 / 64, 1 / 64, 1 / 4))
        return LeaseProgram(processes=(leader, writer), net=net, luck=luck)

    found = find(RARE_FAULT, "trio", range(SEEDS), make)
    assert found is not None
    assert next(failures("trio", range(50), make), None) is None
