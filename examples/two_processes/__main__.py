"""Let two processes share executions, and kill one: ``python -m examples.two_processes``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from examples.two_processes.worker import TTL
from servers.valkey import temporary_valkey


class Process:
    """A worker process, which is given topics and tells what it does."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "examples.two_processes.worker", name, url],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        self.hear("is ready")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()  # its input ends, and with it the process

    def ask(self, topic: str) -> None:
        """Let a hundred users of this process ask for a report."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{topic}\n")
        self._process.stdin.flush()

    def hear(self, beginning: str) -> None:
        """Show what the process tells, up to a line that begins so."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            print(f"  {self.name:8} {line}", end="")
            if line.startswith(beginning):
                return
        raise RuntimeError(f"{self.name} has ended")

    def kill(self) -> None:
        """End the process by SIGKILL: it can neither clean up nor say that it goes."""
        self._process.kill()
        self._process.wait()
        print(f"  {self.name:8} is killed")


def main() -> None:
    """Show it."""
    with temporary_valkey() as server:
        url = f"redis://{server.host}:{server.port}"
        print("A Valkey server and two processes:")
        with Process("asyncio", url) as leader, Process("trio", url) as successor:
            print("A hundred users of each ask for the report on tea, all at once:")
            for process in (leader, successor):
                process.ask("tea")
            for process in (leader, successor):
                process.hear("gave")

            print(f"The process that makes the next report is killed; its lease lasts {TTL} s:")
            leader.ask("coffee")
            leader.hear("makes")
            successor.ask("coffee")
            leader.kill()
            killed_at = time.monotonic()
            successor.hear("makes")
            print(f"           {time.monotonic() - killed_at:.1f} s after that")
            successor.hear("gave")


if __name__ == "__main__":
    main()
