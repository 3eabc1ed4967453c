"""The facts about software and machine that a figure depends on; nothing that names the machine."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Versions and the size of the machine."""

    python: str
    system: str
    cpu_count: int
    backend: str
    driver: str
    postgresql: str
    anyio: str
    anyflight: str


DRIVERS = {"asyncio": "asyncpg", "trio": "psycopg"}
"""The distribution that the example service uses on each event loop."""


def describe_environment(*, backend: str, postgresql: str) -> Environment:
    """Collect the facts; `postgresql` is the server's own version."""
    driver = f"{DRIVERS[backend]} {version(DRIVERS[backend])}"
    return Environment(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=f"{platform.system()} {platform.machine()}",
        cpu_count=os.cpu_count() or 1,
        backend=backend if backend == "asyncio" else f"{backend} {version(backend)}",
        driver=driver if backend == "asyncio" else f"{driver} in worker threads",
        postgresql=postgresql,
        anyio=version("anyio"),
        anyflight=_version_of_source_or_wheel(),
    )


def _version_of_source_or_wheel() -> str:
    """Return the version of anyflight; a source tree on the path has no metadata."""
    try:
        return version("anyflight")
    except PackageNotFoundError:
        return "source tree"
