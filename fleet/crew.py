"""The worker processes: started, given jobs, heard, killed.

They come from a process that has imported everything and runs nothing, so that one starts within
milliseconds. A worker that loses its connection ends: so none outlives the run, however that ends.
"""

from __future__ import annotations

import signal
import traceback
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Protocol

import anyio
from anyio import to_thread

from fleet.errors import WorkerFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess

PATIENCE = 60.0
"""Seconds that a worker may take for an answer: far more than it needs."""

PRELOADED = [
    "anyio._backends._asyncio",
    "examples.user_service.asyncpg_database",
    "fleet.sending",
    "fleet.takeover",
]
"""What workers import, also what they would import only when they need it."""


class Job(Protocol):
    """What a worker can be given; it crosses to the worker by pickle."""

    async def carry_out(self, line: Line) -> None:
        """Do it, in an event loop of its own."""


class Line:
    """A worker's end of the connection."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection

    def say(self, message: object) -> None:
        """Send a message."""
        self._connection.send(message)

    async def hear(self) -> Any:
        """Wait for a message; raises `EOFError` if there will be none."""
        return await to_thread.run_sync(self._connection.recv, abandon_on_cancel=True)


class _Failure(str):
    """What a worker says if a job has failed: the traceback."""

    __slots__ = ()


class Worker:
    """A worker process, as the others see it."""

    def __init__(self, process: ForkServerProcess, connection: Connection[Any, Any]) -> None:
        self._process = process
        self._connection = connection

    def say(self, message: object) -> None:
        """Send a message, or a job."""
        try:
            self._connection.send(message)
        except OSError as error:
            raise WorkerFailedError("a worker process has ended") from error

    def hear(self) -> Any:
        """Return the next message; raises `WorkerFailedError` if there is none."""
        try:
            heard = self._connection.recv() if self._connection.poll(PATIENCE) else None
        except (EOFError, OSError) as error:
            raise WorkerFailedError("a worker process has ended") from error
        if heard is None:
            raise WorkerFailedError(f"a worker process has said nothing for {PATIENCE:g} s")
        if isinstance(heard, _Failure):
            raise WorkerFailedError(f"a worker process has failed:\n{heard}")
        return heard

    def kill(self) -> None:
        """Kill it by SIGKILL; return when it has gone."""
        self._process.kill()
        self._process.join()

    def end(self) -> None:
        """Let it end."""
        self._connection.close()
        self._process.join(1)
        self.kill()


@contextmanager
def crew(count: int) -> Iterator[list[Worker]]:
    """Run so many workers for the length of the block."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    workers: list[Worker] = []
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            workers.append(Worker(process, ours))
        yield workers
    finally:
        for worker in workers:
            worker.end()


def _work(connection: Connection[Any, Any]) -> None:
    """Carry out one job after the other, until there will be none."""
    # A terminal's Ctrl-C reaches the workers too: they end when who started them does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError):
        while True:
            job: Job = connection.recv()
            try:
                anyio.run(partial(job.carry_out, Line(connection)))
            except BaseException:  # noqa: BLE001 - it is raised where it was given
                with suppress(OSError):  # unless nobody is there any more
                    connection.send(_Failure(traceback.format_exc()))
