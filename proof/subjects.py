"""What is under proof: each with random programs, scenarios, and faults to be planted into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from proof.cache_faults import CACHE_FAULTS
from proof.cache_programs import random_cache_program
from proof.cache_scenarios import CACHE_SCENARIOS
from proof.faults import FAULTS
from proof.loader_faults import LOADER_FAULTS
from proof.loader_programs import random_loader_program
from proof.loader_scenarios import LOADER_SCENARIOS
from proof.planting import Fault
from proof.programs import random_program
from proof.scenarios import SCENARIOS


@dataclass(frozen=True, slots=True)
class Subject:
    """One class of anyflight."""

    random_program: Callable[[int], Any]
    """Returns the program of a seed."""

    scenarios: Mapping[str, Any]
    """Programs by name."""

    faults: tuple[Fault, ...]


SUBJECTS = {
    "coalescer": Subject(random_program, SCENARIOS, FAULTS),
    "loader": Subject(random_loader_program, LOADER_SCENARIOS, LOADER_FAULTS),
    "cache": Subject(random_cache_program, CACHE_SCENARIOS, CACHE_FAULTS),
}
