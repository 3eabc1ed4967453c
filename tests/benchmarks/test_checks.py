"""Instruments are measured as soon as there are any."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import pytest

import anyflight
from benchmarks import checks
from benchmarks._backends import available_backends, run_on
from benchmarks._measure import Plan

K = TypeVar("K")
V = TypeVar("V")


@pytest.mark.parametrize("backend", available_backends())
def test_no_instrument_is_compared_with_itself_and_with_one(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    class Instrumented(anyflight.Coalescer[K, V], Generic[K, V]):
        def __init__(self, *, instruments: Any = ()) -> None:
            super().__init__()
            given.extend(instruments)

    monkeypatch.setattr(checks, "HAVE_INSTRUMENTS", True)
    monkeypatch.setattr(checks, "Coalescer", Instrumented)
    monkeypatch.setattr(anyflight, "Instrument", object, raising=False)
    plan = Plan(backend=backend, quick=True, largest=10, unsafe=frozenset())
    _, joiner, call = run_on(backend, checks.run, plan)
    for result in (joiner, call):
        assert list(result.samples) == [checks.WITHOUT, checks.AGAIN, checks.WITH]
        assert result.floor == checks.WITHOUT
    assert len(given) == 2 * 2  # results, rounds
