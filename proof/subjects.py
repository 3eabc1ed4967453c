"""What is under proof: each with random programs, scenarios, and faults to be planted into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proof.backends import BACKENDS
from proof.cache_faults import CACHE_FAULTS
from proof.cache_programs import random_cache_program
from proof.cache_scenarios import CACHE_SCENARIOS
from proof.faults import FAULTS
from proof.lease.faults import LEASE_FAULTS
from proof.lease.programs import random_lease_program
from proof.loader_faults import LOADER_FAULTS
from proof.loader_programs import random_loader_program
from proof.loader_scenarios import LOADER_SCENARIOS
from proof.planting import Fault
from proof.programs import random_program
from proof.scenarios import SCENARIOS


@dataclass(frozen=True, slots=True)
class Subject:
    """One class of anyflight, or what belongs to it."""

    random_program: Callable[[int], Any]
    """Returns the program of a seed."""

    faults: tuple[Fault, ...]

    scenarios: Mapping[str, Any] = field(default_factory=dict)
    """Programs by name."""

    backends: tuple[str, ...] = BACKENDS
    """Where programs can be run."""


SUBJECTS = {
    "coalescer": Subject(random_program, FAULTS, SCENARIOS),
    "loader": Subject(random_loader_program, LOADER_FAULTS, LOADER_SCENARIOS),
    "cache": Subject(random_cache_program, CACHE_FAULTS, CACHE_SCENARIOS),
    # Processes are paused where Trio keeps its tasks; asyncio has no such place.
    "lease": Subject(random_lease_program, LEASE_FAULTS, backends=("trio",)),
}
