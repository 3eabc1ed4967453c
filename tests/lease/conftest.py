"""Real servers and real processes for the tests of the lease."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from servers.programs import Program, installed_programs
from servers.valkey import ValkeyServer, temporary_valkey
from tests.lease.driving import Driver, Join, JoinBy
from tests.lease.proxy import Proxy
from tests.lease.workers import PATIENCE, Nursery, StartWorkers, Worker
from tests.support import HandClock
from tests.support import clock as flights_clock

__all__ = ("flights_clock",)

# The modules of the lease that read the time.
READERS = ("_hearing", "_held", "_memory_store", "_participation", "_requests")

# What workers would import one by one otherwise.
PRELOADED = ("tests.lease.participant",)

_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[ValkeyServer]:
    """Run one server for all tests: they have keys of their own, and leave it running."""
    with temporary_valkey() as server:
        yield server


SERVERS = [each for each in installed_programs() if each.name == "valkey" or each.version >= (7,)]
"""Those that are new enough: a Redis that is installed may be older."""


@pytest.fixture(scope="session", params=SERVERS, ids=str)
def each_server(request: pytest.FixtureRequest) -> Iterator[ValkeyServer]:
    """Run a server of each kind that there is, one after the other."""
    program: Program = request.param
    with temporary_valkey(program) as server:
        yield server


@pytest.fixture(scope="module")
def own_server() -> Iterator[ValkeyServer]:
    """Run a server for the tests of one module, which may restart and freeze it."""
    with temporary_valkey() as server:
        yield server


@pytest.fixture
def proxy(own_server: ValkeyServer) -> Iterator[Proxy]:
    """Put a wire before the module's server, which the test may hold and cut."""
    with Proxy(own_server.host, own_server.port) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Start what makes processes."""
    with Nursery(PRELOADED) as nursery:
        yield nursery


@pytest.fixture
def start_workers(nursery: Nursery) -> Iterator[StartWorkers]:
    """Start processes for one test, which are gone after it."""
    started: list[Worker] = []

    def start_workers(number: int, program: str, **options: Any) -> list[Worker]:
        workers = nursery.start_many(number, program, **options)
        started.extend(workers)
        return workers

    yield start_workers
    for worker in started:
        worker.close()


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """Name the event loop of a worker."""
    name: str = request.param
    return name


@pytest.fixture
def namespace() -> str:
    """Name a namespace that no other test uses."""
    return f"test-{next(_numbers)}"


@pytest.fixture
def join_by(start_workers: StartWorkers, namespace: str) -> JoinBy:
    """Let processes take part in the lease of the test, which are gone after it.

    `at` is the server, or what stands before it. All options but `clock_error` are the lease's.
    """

    def join_by(
        backend: str, number: int = 1, *, at: ValkeyServer | Proxy, **options: Any
    ) -> Iterator[Driver]:
        workers = start_workers(
            number,
            "tests.lease.participant:take_part",
            backend=backend,
            host=at.host,
            port=at.port,
            namespace=namespace,
            # A busy machine is no outage.
            **{"request_timeout": PATIENCE, **options},
        )
        for worker in workers:
            worker.hear("ready")
        return map(Driver, workers)

    return join_by


@pytest.fixture
def join(join_by: JoinBy, backend: str) -> Join:
    """Let processes of one back end take part, first of the one and then of the other."""
    return partial(join_by, backend)


@pytest.fixture
def clock(flights_clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """Let a lease read and sleep by a clock that the test moves, and its pauses be the longest."""
    for name in READERS:
        monkeypatch.setattr(f"anyflight.lease.{name}.current_time", flights_clock.current_time)
    monkeypatch.setattr("anyflight.lease._held.CancelScope", flights_clock.cancel_scope)
    for name in ("_hearing", "_participation"):
        monkeypatch.setattr(f"anyflight.lease.{name}.move_on_after", flights_clock.move_on_after)
        longest = SimpleNamespace(uniform=lambda _, most: most)
        monkeypatch.setattr(f"anyflight.lease.{name}.random", longest)
    for name in ("_hearing", "_requests"):
        monkeypatch.setattr(f"anyflight.lease.{name}.fail_after", flights_clock.fail_after)
    monkeypatch.setattr("anyflight.lease._hearing.sleep", flights_clock.sleep)
    return flights_clock
