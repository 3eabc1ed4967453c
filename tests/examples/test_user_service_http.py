"""The user service over real HTTP: under uvicorn on asyncio, and under hypercorn on Trio."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import TaskGroup

from demo.schema import count_queries, expected_user, hold_queries
from examples.user_service.app import create_app

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]

APP = "examples.user_service.app:app_from_environment"
SERVERS = {
    "uvicorn": ["uvicorn", "--factory", APP, "--log-level", "warning", "--fd", "{fd}"],
    "hypercorn": ["hypercorn", f"{APP}()", "--worker-class", "trio", "--bind", "fd://{fd}"],
}

# What both drivers and servers make of one user.
USER_42 = {
    "id": 42,
    "name": "User 42",
    "email": "user42@example.com",
    "created_at": "2020-01-01T00:42:00+00:00",
}


@pytest.fixture
def anyio_backend() -> str:
    """Name the back end of the client; each server has its own."""
    return "asyncio"


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **variables}


@pytest.fixture(scope="module", params=SERVERS.values(), ids=list(SERVERS))
def address(request: pytest.FixtureRequest, dsn: str) -> Iterator[str]:
    """Run a server process on a socket that listens already: no request can come too early."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=512) as listener,
        tempfile.TemporaryFile("w+") as output,
    ):
        server = subprocess.Popen(
            [sys.executable, "-m", *(part.format(fd=listener.fileno()) for part in request.param)],
            cwd=ROOT,
            env=environment(USER_SERVICE_DSN=dsn, USER_SERVICE_POOL_SIZE="5"),
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=output,
        )
        try:
            yield "http://{}:{}".format(*listener.getsockname())
        finally:
            server.terminate()
            server.wait(timeout=30)
        output.seek(0)
        assert "Traceback" not in output.read()


@pytest.fixture
async def client(anyio_backend: object, address: str) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=30) as client:
        yield client


async def until_waiting(client: httpx.AsyncClient, number: int) -> None:
    """Return when exactly `number` requests wait in the server's coalescer."""
    with anyio.fail_after(30):
        while (await client.get("/stats")).json()["coalescer"]["waiting"] != number:
            await anyio.sleep(0.02)  # leaves the processors to the server


class Answers:
    """Collects the answers to concurrent requests."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.received: list[tuple[int, object]] = []

    def request(self, tasks: TaskGroup, path: str, *, times: int) -> None:
        for _ in range(times):
            tasks.start_soon(self._request, path)

    async def _request(self, path: str) -> None:
        response = await self._client.get(path)
        self.received.append((response.status_code, response.json()))


async def test_200_requests_make_one_query(client: httpx.AsyncClient, dsn: str) -> None:
    before = count_queries(dsn)
    answers = Answers(client)
    async with anyio.create_task_group() as tasks:
        with hold_queries(dsn):
            answers.request(tasks, "/users/42", times=200)
            await until_waiting(client, 200)
    assert answers.received == [(200, USER_42)] * 200
    assert count_queries(dsn) == before + 1


async def test_requests_one_after_the_other_make_a_query_each(
    client: httpx.AsyncClient, dsn: str
) -> None:
    before = count_queries(dsn)
    for user_id in (1, 1, 1000):
        answer = (await client.get(f"/users/{user_id}")).json()
        assert answer["name"] == expected_user(user_id).name
    assert count_queries(dsn) == before + 3


async def test_requests_for_a_missing_user_share_one_query_too(
    client: httpx.AsyncClient, dsn: str
) -> None:
    before = count_queries(dsn)
    answers = Answers(client)
    async with anyio.create_task_group() as tasks:
        with hold_queries(dsn):
            answers.request(tasks, "/users/1001", times=50)
            await until_waiting(client, 50)
    assert answers.received == [(404, {"error": "there is no user 1001"})] * 50
    assert count_queries(dsn) == before + 1


async def test_clients_that_disconnect_harm_nobody(client: httpx.AsyncClient, dsn: str) -> None:
    before = count_queries(dsn)
    answers = Answers(client)
    async with anyio.create_task_group() as tasks:
        with hold_queries(dsn):
            async with anyio.create_task_group() as leaving:
                # The first of these started the query.
                answers.request(leaving, "/users/42", times=20)
                await until_waiting(client, 20)
                answers.request(tasks, "/users/42", times=20)
                await until_waiting(client, 40)
                leaving.cancel_scope.cancel()
            # Another client's request, behind the disconnections, is served.
            assert (await client.get("/stats")).status_code == 200
    assert answers.received == [(200, USER_42)] * 20
    assert count_queries(dsn) == before + 1
    await until_waiting(client, 0)


@pytest.mark.parametrize(
    "text", ["abc", "-1", "+1", "4_2", "%EF%BC%94%EF%BC%92", "%2042", "1.0", str(2**63), "9" * 5000]
)
async def test_what_cannot_be_an_id_is_refused(client: httpx.AsyncClient, text: str) -> None:
    response = await client.get(f"/users/{text}")
    assert response.status_code == 422
    assert response.json() == {
        "error": "a user's id is a whole number from 0 to 9223372036854775807"
    }


@pytest.mark.parametrize("user_id", [0, 1001, 2**63 - 1])
async def test_an_id_without_a_user_is_not_found(client: httpx.AsyncClient, user_id: int) -> None:
    response = await client.get(f"/users/{user_id}")
    assert response.status_code == 404
    assert response.json() == {"error": f"there is no user {user_id}"}


async def test_statistics_tell_of_the_coalescer_and_the_pool(
    client: httpx.AsyncClient, dsn: str
) -> None:
    before = (await client.get("/stats")).json()["coalescer"]
    answers = Answers(client)
    async with anyio.create_task_group() as tasks:
        with hold_queries(dsn):
            answers.request(tasks, "/users/42", times=3)
            await until_waiting(client, 3)
            during = (await client.get("/stats")).json()
    after = (await client.get("/stats")).json()

    assert during["pool"]["size"] == 5
    assert during["pool"]["in_use"] == 1
    assert during["coalescer"]["in_flight"] == 1
    assert after["pool"]["in_use"] == 0
    assert after["pool"]["busy_seconds"] >= during["pool"]["busy_seconds"] > 0
    assert after["coalescer"]["flights"] == before["flights"] + 1
    assert after["coalescer"]["joined"] == before["joined"] + 2


async def test_a_request_that_comes_when_the_service_has_closed_is_told_so(dsn: str) -> None:
    app = create_app(dsn, pool_size=1)
    async with app.router.lifespan_context(app) as state:
        assert state is not None

    async def closed_app(
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        await app({**scope, "state": dict(state)}, receive, send)

    transport = httpx.ASGITransport(closed_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://closed") as client:
        response = await client.get("/users/42")
    assert response.status_code == 503
    assert response.json() == {"error": "the service is closing"}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_program_serves_until_it_is_interrupted_and_leaves_nothing(backend: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = subprocess.Popen(
            [sys.executable, "-m", "examples.user_service", "--backend", backend, "--port", "0"],
            cwd=ROOT,
            env=environment(TMPDIR=folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert program.stdout is not None
            printed = program.stdout.readline() + program.stdout.readline()
            command = re.search(r"curl (http://\S+)", printed)
            assert command is not None, program.communicate(timeout=30)[1]
            response = httpx.get(command[1], timeout=30)
            program.send_signal(signal.SIGINT)
            _, errors = program.communicate(timeout=30)
        finally:
            program.kill()
            program.communicate()
        assert response.json() == USER_42
        assert (program.returncode, errors) == (0, "")
        assert list(Path(folder).iterdir()) == []
