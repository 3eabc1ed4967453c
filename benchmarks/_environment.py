"""The facts about software and machine that a figure depends on; nothing that names the machine."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The machine, and the versions of all that was measured."""

    date: str
    processor: str
    cores: int
    memory_gb: int
    load: float
    """Processes that ran or wanted to when the benchmarks began: 0 on a quiet machine."""
    system: str
    python: str
    packages: dict[str, str]


def describe_environment(packages: Iterable[str]) -> Environment:
    """Collect the facts."""
    return Environment(
        date=datetime.now(UTC).date().isoformat(),
        processor=_processor(),
        cores=psutil.cpu_count() or 1,
        memory_gb=round(psutil.virtual_memory().total / 2**30),
        load=current_load(),
        system=f"{platform.system()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: _version(name) for name in sorted({*packages, "anyio", "trio", "uvloop"})},
    )


def current_load() -> float:
    """Return how many processes ran or wanted to, on average over the last minute."""
    return round(psutil.getloadavg()[0], 2)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _version(package: str) -> str:
    """Return the version of a package; a source tree on the path has no metadata."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "source tree" if package == "anyflight" else "not installed"
