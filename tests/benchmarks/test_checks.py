"""What is measured as the checks of a call are the checks that a call makes."""

from __future__ import annotations

import inspect

from anyflight import Coalescer
from benchmarks.checks import ALL_CHECKS


def test_the_checks_that_are_measured_are_those_of_execute() -> None:
    assert f"if {ALL_CHECKS}:" in inspect.getsource(Coalescer.execute)
