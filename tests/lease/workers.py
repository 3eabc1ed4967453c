"""Processes of the tests: started, talked with, stopped, resumed and killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psutil

ROOT = Path(__file__).parents[2]

# Far more than anything here takes; reached only by a bug.
PATIENCE = 30.0


class Worker:
    """A process that runs one program, `async def program(conversation, **arguments)`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._unread: list[dict[str, Any]] = []
        self._has_ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @cached_property
    def pid(self) -> int:
        """The process's id."""
        pid: int = self.hear("hello")["pid"]
        return pid

    def say(self, kind: str, **facts: Any) -> None:
        """Tell the program something."""
        self._connection.sendall(json.dumps({"kind": kind, **facts}).encode() + b"\n")

    def hear(self, kind: str, within: float = PATIENCE, **facts: Any) -> dict[str, Any]:
        """Return the next like this that the program says, or has said and nobody heard."""
        deadline = time.monotonic() + within
        with self._changed:
            while True:
                if (message := self._heard(kind, facts)) is not None:
                    return message
                assert not self._has_ended, f"ended without {kind!r}; unread: {self._unread}"
                assert self._changed.wait(deadline - time.monotonic()), (
                    f"no {kind!r} in {within} s; unread: {self._unread}"
                )

    def heard(self, kind: str, **facts: Any) -> dict[str, Any] | None:
        """Return what `hear` would without waiting, None if there is nothing."""
        with self._changed:
            return self._heard(kind, facts)

    def _heard(self, kind: str, facts: dict[str, Any]) -> dict[str, Any] | None:
        wanted = {"kind": kind, **facts}
        for message in self._unread:
            assert message["kind"] != "crashed", message["traceback"]
            if wanted.items() <= message.items():
                self._unread.remove(message)
                return message
        return None

    @property
    def unread(self) -> tuple[dict[str, Any], ...]:
        """What it has said and nobody heard."""
        with self._changed:
            return tuple(self._unread)

    def stop(self) -> None:
        """Stop the process by SIGSTOP; return when it stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        deadline = time.monotonic() + PATIENCE
        while psutil.Process(self.pid).status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline, "the process does not stop"
            time.sleep(0.001)

    def resume(self) -> None:
        """Let a stopped process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the process by SIGKILL; return when it has gone."""
        if not self._has_ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        """Return when the process has ended."""
        self._reader.join(PATIENCE)
        assert self._has_ended, "the process goes on"

    def hang_up(self) -> None:
        """Say no more: the program's next `hear` raises. What it says can still be heard."""
        self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Kill the process, if it is there still."""
        self.kill()
        self._connection.close()

    def _read(self) -> None:
        with self._connection.makefile("rb") as lines:
            try:
                for line in lines:
                    with self._changed:
                        self._unread.append(json.loads(line))
                        self._changed.notify_all()
            except OSError:
                pass
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()


def has_ended(pid: int) -> bool:
    """Whether a process is no more, but for what somebody may still want to know of it."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class StartWorkers(Protocol):
    """What starts processes; see `Nursery.start_many`."""

    def __call__(
        self,
        number: int,
        program: str,
        *,
        backend: str,
        clock_error: float = 0,
        **arguments: Any,
    ) -> list[Worker]: ...


class Nursery:
    """Where workers come from; they are gone with it, however the tests end."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        folder = tempfile.mkdtemp(prefix="anyflight-workers-")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/socket")
        self._listener.listen()
        self._listener.settimeout(PATIENCE)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.lease.nursery", folder, *preload],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            start_new_session=True,  # a session that can be killed as a whole
            stdin=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=PATIENCE)
        self._listener.close()

    def start_many(
        self,
        number: int,
        program: str,
        *,
        backend: str,
        clock_error: float = 0,
        **arguments: Any,
    ) -> list[Worker]:
        """Start `module:function` in so many processes; return when they run.

        `clock_error` is by how many seconds their time of day is wrong.
        """
        order = {
            "program": program,
            "backend": backend,
            "clock_error": clock_error,
            "arguments": arguments,
            "socket": self._listener.getsockname(),
        }
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(order) + "\n") * number)
        self._process.stdin.flush()
        return [Worker(self._accept()) for _ in range(number)]

    def _accept(self) -> socket.socket:
        connection, _ = self._listener.accept()
        connection.settimeout(None)
        return connection
