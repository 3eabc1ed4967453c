"""A small soak is clean, and one with a leak is not."""

from __future__ import annotations

from typing import Any

import pytest

from anyflight._flight import FlightTable
from proof.soak import Load, report, soak


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_thousands_of_calls_leave_nothing(backend: str) -> None:
    one = soak(Load(calls=3000, keys=300, backend=backend, workers=20, rounds=4))
    assert list(one.findings()) == []
    assert len(report(one).splitlines()) == 5


def test_a_leak_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def land(self: Any, flight: Any, outcome: Any) -> Any:
        kept.append(flight)
        return original(self, flight, outcome)

    kept: list[object] = []
    original = FlightTable.land
    monkeypatch.setattr(FlightTable, "land", land)
    findings = list(soak(Load(calls=6000, keys=300, workers=20, rounds=3)).findings())
    assert any("objects stay behind" in finding for finding in findings)
    assert any("memory grows" in finding for finding in findings)
