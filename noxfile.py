"""What a contributor runs; ``nox --list`` says what there is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "typing", "tests", "coverage"]
nox.options.default_venv_backend = "venv"

PROJECT = nox.project.load_toml("pyproject.toml")
WHEELS = Path("build") / "wheels"

# The tests of the table of failures in docs/lease.md, but for clusters and for what is refused.
FAILURES = (
    "cancelled",
    "dead_connections",
    "interrupted",
    "invalidated",
    "killed",
    "many",
    "outages",
    "stopped",
    "unshared",
    "wrong_clock",
)


def _runs(python: str) -> bool:
    """Whether ``python`` can be started: a pyenv shim exists also for a version that is not on."""
    path = shutil.which(python)
    if path is None:
        return False
    return subprocess.run([path, "-c", ""], check=False, capture_output=True).returncode == 0


def _installed_pythons() -> list[str]:
    """Return those versions of the classifiers that this machine has; pyenv's are put on PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found: list[str] = []
    for version in nox.project.python_versions(PROJECT):
        if not _runs(f"python{version}"):
            for interpreter in sorted(pyenv.glob(f"{version}.*/bin/python{version}")):
                os.environ["PATH"] = f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"
        if _runs(f"python{version}"):
            found.append(version)
    # On a machine with a later one alone, that is better than nothing.
    return found or [f"{sys.version_info.major}.{sys.version_info.minor}"]


PYTHONS = _installed_pythons()
NEWEST = PYTHONS[-1]


built: list[Path] = []


def _wheel(session: nox.Session) -> Path:
    """Build the wheel, once for all sessions of this run."""
    if not built:
        session.install("build")
        shutil.rmtree(WHEELS, ignore_errors=True)
        session.run("python", "-m", "build", "--wheel", "--outdir", str(WHEELS), silent=True)
        built.extend(WHEELS.glob("anyflight-*.whl"))
    (wheel,) = built
    return wheel


def _install_wheel(session: nox.Session, *groups: str) -> None:
    """Install anyflight as users get it: from a wheel, with the extra of the examples."""
    wheel = _wheel(session)
    session.install(f"{wheel}[examples]", *nox.project.dependency_groups(PROJECT, *groups))
    # In an environment that is used again (nox -r) pip would keep a wheel of the same version.
    session.install("--force-reinstall", "--no-deps", str(wheel))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests against the wheel, on asyncio, asyncio with uvloop, and Trio."""
    _install_wheel(session, "tests")
    # Two processes for each core, at most four, since some tests wait for servers; each file in one
    # of them, with its fixtures.
    processes = min(2 * (os.cpu_count() or 1), 4)
    parallel = ["--numprocesses", str(processes), "--dist", "loadfile"]
    # What measures, and what tries to break laws, is run by the newest Python: users have neither.
    tools = ["proof", "benchmarks", "fleet", "demo"] if session.python != NEWEST else []
    parallel += [f"--ignore=tests/{tool}" for tool in tools]
    session.run("pytest", *parallel, *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests of the package with the oldest anyio and Trio that are supported."""
    _install_wheel(session, "tests")
    # The pytest plugin of that anyio is older than pytest 9.
    session.install("anyio==4.14.0", "trio==0.31.0", "pytest<9")
    session.run(
        "pytest",
        "tests/coalescer",
        "tests/coalesced",
        "tests/loader",
        "tests/cache",
        "tests/test_flight.py",
        "tests/test_isolation.py",
    )


@nox.session(python=NEWEST)
def failures(session: nox.Session) -> None:
    """Run the tests of the table of failures 20 times in a row; the argument is another number."""
    times = int(session.posargs[0]) if session.posargs else 20
    _install_wheel(session, "tests")
    files = [f"tests/lease/test_{name}.py" for name in FAILURES]
    passed = 0
    try:
        for _ in range(times):
            session.run("pytest", "--numprocesses", "2", "--dist", "loadfile", *files)
            passed += 1
    finally:
        session.log(f"The table of failures has passed {passed} of {times} times.")


@nox.session(python=NEWEST)
def coverage(session: nox.Session) -> None:
    """Run the tests and require that every branch of the package is taken."""
    _install_wheel(session, "tests")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", silent=True)
    session.run("coverage", "report")


@nox.session(python=NEWEST)
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(python=NEWEST)
def typing(session: nox.Session) -> None:
    """Check types, what the public table promises included."""
    _install_wheel(session, "tests", "typing")
    checked = [
        "src",
        "examples",
        "demo",
        "fleet",
        "servers",
        "benchmarks",
        "docs",
        "proof",
        "tests/typing",
    ]
    session.run("mypy", *checked, "conftest.py", "noxfile.py")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "anyflight", "--ignoreexternal")


@nox.session(python=NEWEST)
def prove(session: nox.Session) -> None:
    """Try for some minutes to break a law; with arguments: `python -m proof --help`."""
    _install_wheel(session, "tests")
    session.run("python", "-m", "proof", *session.posargs)


@nox.session(python=NEWEST)
def demo(session: nox.Session) -> None:
    """Measure the service of the examples through a traffic spike, on a real PostgreSQL."""
    _install_wheel(session, "demo")
    session.run("python", "-m", "demo", *session.posargs)


@nox.session(python=NEWEST)
def fleet(session: nox.Session) -> None:
    """Measure processes that share executions, beside libraries, and write docs/fleet.md."""
    _install_wheel(session, "fleet")
    session.run("python", "-m", "fleet", *session.posargs)


@nox.session(python=NEWEST)
def bench(session: nox.Session) -> None:
    """Measure what a call costs, beside floors and rivals, and write docs/performance.md."""
    _install_wheel(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python=NEWEST)
def eviction(session: nox.Session) -> None:
    """Measure what bounds the cache in memory, beside libraries, and write docs/eviction.md."""
    _install_wheel(session, "bench")
    session.run("python", "-m", "benchmarks.eviction", *session.posargs)


@nox.session(python=NEWEST)
def service(session: nox.Session) -> None:
    """Serve the example over HTTP on a PostgreSQL of its own, until Ctrl-C."""
    _install_wheel(session, "servers")
    session.run("python", "-m", "examples.user_service", *session.posargs)


@nox.session(python=NEWEST)
def two_processes(session: nox.Session) -> None:
    """Let two processes share executions over a Valkey of their own, and kill one of them."""
    _install_wheel(session, "servers")
    session.run("python", "-m", "examples.two_processes")
