"""A real Valkey or Redis for a demonstration or a test: `with temporary_valkey() as server`.

See `servers.guard` for how nothing is left behind.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import valkey
from valkey.backoff import NoBackoff
from valkey.exceptions import BusyLoadingError, ConnectionError, TimeoutError  # noqa: A004
from valkey.retry import Retry

from servers.folder import guarded_folder
from servers.guard import data_folder
from servers.ports import HOST, free_port
from servers.programs import Program, default_program

# How long the server may take to start or to answer, in seconds: ample for a machine under load.
_PATIENCE = 30.0


@contextmanager
def temporary_valkey(
    program: Program | None = None, *, password: str | None = None, mode: str = "alone"
) -> Iterator["ValkeyServer"]:
    """Run a fresh server for the length of the block; `mode="cluster"`: a cluster of one node.

    Server and folder are gone after the block, after an exception or Ctrl-C in it, and within
    moments of this process being killed. The server keeps its data in memory only.

    Raises `ServerStartError`, with the server's log, if it does not start; `ModuleNotFoundError`
    if there is no server to start.
    """
    with guarded_folder() as folder:
        server = ValkeyServer(
            data_folder(folder), program or default_program(), password=password, mode=mode
        )
        try:
            server.start()
            if mode == "cluster":
                server.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                server.wait_for_cluster(nodes=1)
            yield server
        finally:
            server.kill()


class ServerStartError(Exception):
    """Raised if a server ends, or does not answer, instead of serving; with its log."""


class ValkeyServer:
    """One server process after the other, at one address and in one folder.

    Invariant: `_process` is the process that was started last, or None; nobody else starts one.
    """

    def __init__(
        self, folder: Path, program: Program, *, password: str | None = None, mode: str = "alone"
    ) -> None:
        self.folder = folder
        """Its working folder: the log, and what a cluster remembers of itself."""
        self.program = program
        self.host = HOST
        self.port = 0
        """Chosen at the first start, the same ever after."""
        self.cluster_port = 0
        """Where other nodes of its cluster reach it; 0 without a cluster. Chosen like `port`."""
        self.password = password
        self._mode = mode
        self._process: subprocess.Popen[bytes] | None = None
        self._client: valkey.Valkey | None = None

    @property
    def log(self) -> str:
        """All that the server has said so far."""
        return (self.folder / "server.log").read_text()

    @property
    def pid(self) -> int:
        """The process id of the server that runs; raises `RuntimeError` if none does."""
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def start(self) -> None:
        """Start the server; return when it answers. After `kill()`: at the same address."""
        if self._process is not None:
            raise RuntimeError("the server runs already")
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if self.port:
            self._try_to_start()
            return
        while True:
            self.port = free_port()
            self.cluster_port = free_port() if self._mode == "cluster" else 0
            try:
                self._try_to_start()
            except ServerStartError:
                # Between the look and the start somebody else has taken the port.
                if "already in use" not in self.log:
                    raise
                (self.folder / "server.log").unlink()
            else:
                return

    def kill(self) -> None:
        """End the server by SIGKILL, if it runs: its data is gone, its connections are reset."""
        process, self._process = self._process, None
        client, self._client = self._client, None
        if client is not None:
            client.close()  # type: ignore[no-untyped-call]
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Kill the server and start another in its place, which remembers nothing."""
        self.kill()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep the process stopped (SIGSTOP) in the block: connections stay, nobody answers."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        # A signal takes its time to arrive.
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        try:
            yield
        finally:
            if self._process is not None and self._process.pid == pid:
                os.kill(pid, signal.SIGCONT)

    def command(self, *arguments: str | bytes | float) -> Any:
        """Send one command over a connection of the server's owner; return the answer.

        Raises what `valkey` does, `valkey.exceptions.ResponseError` for an error as the answer.
        """
        if self._client is None:
            self._client = valkey.Valkey(
                self.host,
                self.port,
                password=self.password,
                decode_responses=True,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=_PATIENCE,
            )
        return self._client.execute_command(*arguments)  # type: ignore[no-untyped-call]

    def forget_counts(self) -> None:
        """Start `command_counts()` anew."""
        self.command("CONFIG", "RESETSTAT")

    def command_counts(self) -> dict[str, int]:
        """Return how often each command was called, `{"evalsha": 3}`, by scripts as well.

        Commands of the owner count like any other.
        """
        statistics: dict[str, dict[str, int]] = self.command("INFO", "commandstats")
        return {name.removeprefix("cmdstat_"): each["calls"] for name, each in statistics.items()}

    def wait_for_cluster(self, *, nodes: int) -> None:
        """Return when the cluster serves, and this node knows so many of its nodes."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            state = self.command("CLUSTER INFO")
            if state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == nodes:
                return
            if time.monotonic() > deadline:
                raise ServerStartError(f"no cluster: {state}\n{self.log}")
            time.sleep(0.01)

    def _try_to_start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.program.path, *self._options()],
                cwd=self.folder,  # by this `servers.guard` recognises it
                start_new_session=True,  # ended by us or the guardian, not by a terminal's Ctrl-C
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def _options(self) -> list[str]:
        options = {
            "bind": self.host,
            "port": str(self.port),
            "save": "",  # nothing is written, and so nothing is left after a restart
            "appendonly": "no",
        }
        if self.password is not None:
            options["requirepass"] = self.password
        if self._mode == "cluster":
            options |= {
                "cluster-enabled": "yes",
                "cluster-config-file": "nodes.conf",
                "cluster-node-timeout": "2000",
                "cluster-port": str(self.cluster_port),
            }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(BusyLoadingError, ConnectionError, TimeoutError):
                # If the port was taken, who has it may answer as well.
                if self.command("INFO", "server")["process_id"] == process.pid:
                    return
            time.sleep(0.005)
        raise ServerStartError(self.log)
