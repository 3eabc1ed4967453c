"""Imports point down, anyio is the only gate to a back end, and the public table is what it is."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import anyflight
import anyflight.lease.valkey

PACKAGE = Path(anyflight.__file__).parent
# A module may import from lower floors only.
FLOORS = {
    "_call_key": 0,
    "_checks": 0,
    "_errors": 0,
    "_events": 0,
    "_first_warning": 0,
    "_in_context": 0,
    "_isolation": 0,
    "_observer": 0,
    "_telling": 0,
    "_coalesced_function": 1,
    "_outcome": 1,
    "_owner": 1,
    "_policies": 1,
    "_decorating": 2,
    "_flight": 2,
    "_announcer": 3,
    "_delivery": 3,
    "_led_flight": 3,
    "_shadow": 3,
    "_batch": 4,
    "_deadlines": 4,
    "_collecting": 5,
    "_deadlock": 5,
    "_leaders": 6,
    "_batches": 7,
    "_calls": 7,
    "_owning": 7,
    "_loader": 8,
    "_across": 12,
    "_coalescer": 13,
    "_decorator": 14,
    "cache._answers": 15,
    "cache._barring": 0,
    "cache._checks": 1,
    "cache._clock": 0,
    "cache._departures": 0,
    "cache._first_tier": 5,
    "cache._flights": 14,
    "cache._freshness": 2,
    "cache._generations": 0,
    "cache._hearing": 12,
    "cache._kept_errors": 2,
    "cache._lifetimes": 3,
    "cache._loading": 9,
    "cache._loading_many": 16,
    "cache._memory": 4,
    "cache._misses": 17,
    "cache._read_through": 18,
    "cache._s3_fifo": 3,
    "cache._second_tier": 2,
    "cache._shared_tier": 13,
    "cache._sharing": 14,
    "cache._sharing_many": 10,
    "cache._statistics": 1,
    "cache._store": 0,
    "cache._stored_codec": 12,
    "cache._tiers": 15,
    "cache._writing": 15,
    "instrumentation.key_counts": 21,
    "instrumentation.logging": 21,
    "lease._asking": 8,
    "lease._codec": 0,
    "lease._core": 9,
    "lease._errors": 1,
    "lease._events": 0,
    "lease._hearing": 4,
    "lease._held": 6,
    "lease._lease": 10,
    "lease._memory_store": 1,
    "lease._naming": 1,
    "lease._outcomes": 2,
    "lease._participation": 8,
    "lease._shared": 7,
    "lease._requests": 3,
    "lease._scripts": 0,
    "lease._settings": 1,
    "lease._statistics": 0,
    "lease._store": 0,
    "lease.valkey": 22,
    "lease": 11,
    "cache": 19,
    "__init__": 20,
    "instrumentation": 21,
}
# Edges: they use what is public, and may import what else they name.
EDGES = {"instrumentation": {"anyflight"}, "lease.valkey": {"coredis"}}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the name of a module inside the package; a package's is that of its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it, except for what only type checkers see."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from running(child)


def imports_of(path: Path) -> set[str]:
    """Return what a module imports, at any depth; this package's modules with a dot in front."""
    inside = path.relative_to(PACKAGE).parent.parts
    found: set[str] = set()
    for node in running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = inside[: len(inside) + 1 - node.level] if node.level else ()
            name = ".".join([*above, *([node.module] if node.module else [])])
            found.add("." + name if node.level else name)
    return {name.removeprefix("anyflight") if "anyflight." in name else name for name in found}


def test_every_module_has_its_floor() -> None:
    assert {name_of(path) for path in MODULES} == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    for name in imports_of(path):
        if name.startswith("."):
            assert FLOORS[name[1:]] < FLOORS[name_of(path)], f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_anyio_and_the_standard_library_are_imported(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imports_of(path) if name[0] != "."}
    name = name_of(path)
    edge = EDGES.get(name) or EDGES.get(name.partition(".")[0]) or set()
    assert roots <= (sys.stdlib_module_names - {"asyncio"}) | {"anyio"} | edge


def test_importing_the_package_loads_no_edge() -> None:
    code = "import anyflight, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split()) - sys.stdlib_module_names
    # What the interpreter loads at its start, an installed coverage among it, and what anyio needs.
    code = code.replace("anyflight", "anyio.abc, anyio.lowlevel, typing_extensions")
    start = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert loaded - set(start.stdout.split()) == {"anyflight"}


def test_the_public_table() -> None:
    assert set(anyflight.__all__) == {
        "BatchLanded",
        "BatchLoader",
        "BatchLoaderStatistics",
        "CacheStatistics",
        "CacheStore",
        "CallJoined",
        "CallLeft",
        "CoalescedFunction",
        "Coalescer",
        "CoalescerError",
        "CoalescerStatistics",
        "DeadlockError",
        "FlightCancelledError",
        "FlightInfo",
        "FlightLanded",
        "FlightOutcome",
        "FlightStarted",
        "FlightState",
        "FlightTimeoutError",
        "Instrument",
        "MissingKeyError",
        "ReadThroughCache",
        "StoredValue",
        "TooManyWaitersError",
        "coalesced",
    }
    assert {name for name in vars(anyflight) if not name.startswith("_")} >= set(anyflight.__all__)


def test_the_public_table_of_the_lease() -> None:
    assert set(anyflight.lease.__all__) == {
        "Acquired",
        "Busy",
        "Codec",
        "Hear",
        "Hit",
        "JSONCodec",
        "Lease",
        "LeaseConfigurationError",
        "LeaseEnd",
        "LeaseEnded",
        "LeaseInstrument",
        "LeaseStatistics",
        "LeaseStore",
        "LeaseUnavailableError",
        "MemoryStore",
        "Notice",
        "Outcome",
        "OutcomeKind",
        "RemoteFlightError",
        "RequestRefusedError",
        "ServerFound",
        "ServerLost",
        "Won",
        "fencing_number",
    }
    assert set(anyflight.lease.valkey.__all__) == {"ValkeyLease", "ValkeyStore"}


PUBLIC = [
    pytest.param(package, name, id=f"{package.__name__}.{name}")
    for package in (anyflight, anyflight.lease, anyflight.lease.valkey)
    for name in package.__all__
    if name not in {"Acquired", "Hear"}  # which are no classes, only names of types
]


@pytest.mark.parametrize(("package", "name"), PUBLIC)
def test_everything_public_is_documented_and_known_by_its_public_name(
    package: ModuleType, name: str
) -> None:
    thing = getattr(package, name)
    assert thing.__module__ == package.__name__
    assert thing.__doc__


@pytest.mark.parametrize(("package", "name"), PUBLIC)
def test_the_annotations_of_everything_public_can_be_resolved(
    package: ModuleType, name: str
) -> None:
    thing = getattr(package, name)
    hints = typing.get_type_hints(thing)
    assert set(hints) >= set(getattr(thing, "__annotations__", {}))


def test_modules_stay_small() -> None:
    lengths = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES
    }
    assert {name: length for name, length in lengths.items() if length > 320} == {}


def test_errors_carry_their_key_and_can_be_pickled() -> None:
    error = anyflight.FlightCancelledError("gone", ("tenant", 1))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.key, str(again)) == (type(error), ("tenant", 1), "gone")
    assert isinstance(error, anyflight.CoalescerError)
    assert not isinstance(error, TimeoutError)


def test_a_flights_timeout_is_no_error_of_the_operating_system() -> None:
    """A `TimeoutError` is an `OSError`, which takes its first two arguments for its own."""
    error = anyflight.FlightTimeoutError("too long", "key")
    assert (error.errno, error.strerror, str(error)) == (None, None, "too long")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.key, again.args) == (type(error), "key", ("too long", "key"))
