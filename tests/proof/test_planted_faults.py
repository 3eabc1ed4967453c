"""Faults of published libraries are found: what finds none of them proves nothing."""

from __future__ import annotations

import pytest

from proof.faults import FAULTS
from proof.planting import Fault, find

SEEDS = 500


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_planted_fault_is_found_by_the_law_that_it_breaks(backend: str, fault: Fault) -> None:
    found = find(fault, backend, range(SEEDS))
    assert found is not None
    assert fault.law in {each.law for each in found.violations}
    assert f"--from {found.seed} --seeds 1 --backend {backend}" in str(found)


def test_a_fault_is_gone_when_the_block_is_left() -> None:
    fault = FAULTS[0]
    before = getattr(fault.target, fault.attribute)
    with fault.planted():
        assert getattr(fault.target, fault.attribute) is not before
    assert getattr(fault.target, fault.attribute) is before


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
