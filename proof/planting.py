"""Plants a fault in place of one method while a block runs, and looks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from proof.programs import random_program
from proof.search import Failure, failures


@dataclass(frozen=True, slots=True)
class Fault:
    """A change that does harm."""

    name: str
    law: int
    """The law that it breaks."""
    seen_in: str
    target: Any
    """The class or module that is changed."""
    attribute: str
    make: Callable[[Any], Any]
    """Makes the faulty one from the original."""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the fault meanwhile."""
        faulty = self.make(getattr(self.target, self.attribute))
        with patch.object(self.target, self.attribute, faulty):
            yield


def find(
    fault: Fault,
    backend: str,
    seeds: Iterable[int],
    make: Callable[[int], Any] = random_program,
) -> Failure | None:
    """Return the first of the seeds that finds the law broken that the fault breaks."""
    with fault.planted():
        for failure in failures(backend, seeds, make):
            if any(each.law == fault.law for each in failure.violations):
                return failure
    return None
