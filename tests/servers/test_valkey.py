"""The temporary Valkey is as promised, comes back where it was, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from valkey import Valkey
from valkey.exceptions import AuthenticationError, ConnectionError  # noqa: A004

from servers import guard, valkey
from servers.cluster import temporary_cluster
from servers.programs import Program, installed_programs
from servers.valkey import ServerStartError, ValkeyServer, temporary_valkey

ROOT = Path(__file__).parents[2]

# Far more than anything here takes; reached only by a bug.
PATIENCE = 30

OWNER = """
import sys
from servers.valkey import temporary_valkey

with temporary_valkey() as server:
    print(server.folder.parent, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with temporary_valkey() as server:
        yield server


@pytest.mark.parametrize("program", installed_programs(), ids=str)
def test_each_program_serves(program: Program) -> None:
    with temporary_valkey(program) as server:
        section = server.command("INFO", "server")
        version = section[f"{program.name}_version"]
        assert tuple(int(part) for part in version.split(".")) == program.version


def test_valkey_comes_in_two_versions_as_wheels() -> None:
    versions = {each.version[0] for each in installed_programs() if each.name == "valkey"}
    assert versions >= {8, 9}


def test_a_server_that_was_started_again_is_where_it_was_and_remembers_nothing(
    server: ValkeyServer,
) -> None:
    port = server.port
    server.command("SET", "key", "value")
    server.restart()
    assert server.port == port
    assert server.command("GET", "key") is None


def test_nobody_answers_where_a_server_was_killed(server: ValkeyServer) -> None:
    server.kill()
    with pytest.raises(ConnectionError):
        server.command("PING")
    server.kill()  # allowed: it is gone anyway
    with pytest.raises(RuntimeError, match="does not run"):
        assert server.pid
    server.start()
    assert server.command("PING") is True
    with pytest.raises(RuntimeError, match="runs already"):
        server.start()


def test_a_frozen_server_goes_on_after_the_block(server: ValkeyServer) -> None:
    with server.frozen():
        assert psutil.Process(server.pid).status() == psutil.STATUS_STOPPED
    assert server.command("PING") is True


def test_a_frozen_server_can_be_killed(server: ValkeyServer) -> None:
    with server.frozen():
        server.restart()
    assert server.command("PING") is True


def test_a_server_counts_commands(server: ValkeyServer) -> None:
    server.forget_counts()
    server.command("EVAL", "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[1], 2)", 1, "key")
    counts = server.command_counts()
    assert (counts["eval"], counts["set"]) == (1, 2)


def test_a_password_is_asked_for() -> None:
    with temporary_valkey(password="secret") as server:
        assert server.command("PING") is True
        for password in (None, "wrong"):
            with (
                Valkey(server.host, server.port, password=password) as client,
                pytest.raises(AuthenticationError),
            ):
                client.ping()


def test_a_cluster_of_one_node_has_all_slots() -> None:
    with temporary_valkey(mode="cluster") as server:
        assert server.command("CLUSTER INFO")["cluster_slots_ok"] == "16384"
        assert server.command("SET", "key", "value")


def test_a_cluster_of_three_nodes_shares_the_slots() -> None:
    with temporary_cluster() as nodes:
        assert len({node.port for node in nodes}) == 3
        for node in nodes:
            assert node.command("CLUSTER INFO")["cluster_slots_ok"] == "16384"
        folder = nodes[0].folder.parent
        assert len(guard.processes_of(folder)) == 3
    assert guard.processes_of(folder) == []
    assert not folder.exists()


def test_a_port_that_is_taken_is_given_up_for_another(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = valkey.free_port()
    ports = iter([server.port, free])
    monkeypatch.setattr(valkey, "free_port", lambda: next(ports))
    with temporary_valkey() as other:
        assert other.port == free
        assert other.command("PING") is True


def test_a_server_that_does_not_start_shows_its_log(server: ValkeyServer, tmp_path: Path) -> None:
    other = ValkeyServer(tmp_path / "data", server.program)
    other.port = server.port
    with pytest.raises(ServerStartError, match="already in use"):
        other.start()
    assert guard.processes_of(tmp_path) == []


def test_nothing_is_left_after_the_block() -> None:
    with pytest.raises(ZeroDivisionError), temporary_valkey() as server:
        folder = server.folder.parent
        assert guard.processes_of(folder) != []
        raise ZeroDivisionError
    assert not folder.exists()
    assert guard.processes_of(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert len(guard.processes_of(folder)) == 1
        owner.send_signal(number)
    # The guardian comes after the owner's end.
    deadline = time.monotonic() + PATIENCE
    while (folder.exists() or guard.processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not folder.exists()
    assert guard.processes_of(folder) == []
