"""Makes the processes of the tests: `python -m tests.lease.nursery`.

It is given a folder to remove at its end, and modules to import at its start.

Each line of its input is an order for one process, as JSON. The process is a fork, because all the
imports have been made then: it takes some milliseconds instead of most of a second. It talks to the
test over a Unix socket, lines of JSON in both directions, and its end is the end of that
connection. When the input ends, which it does however the test's process ends, all are killed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from functools import partial
from typing import Any

import anyio
import anyio._backends._asyncio
import anyio._backends._trio  # imported once for all forks
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream


class Conversation:
    """The worker's end of the connection to its test."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._received = BufferedByteReceiveStream(stream)
        self._sending = anyio.Lock()

    async def say(self, kind: str, **facts: Any) -> None:
        """Tell the test something, as soon as what was said before is on its way."""
        line = json.dumps({"kind": kind, **facts}).encode() + b"\n"
        async with self._sending:
            await self._stream.send(line)

    async def hear(self) -> dict[str, Any]:
        """Return what the test said next; raises `anyio.IncompleteRead` when it says no more."""
        line = await self._received.receive_until(b"\n", 1 << 24)
        message: dict[str, Any] = json.loads(line)
        return message


def main() -> None:
    """Start a process for each line of the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: nobody waits for them here
    folder, *modules = sys.argv[1:]
    for name in modules:
        importlib.import_module(name)
    gc.freeze()  # so that no collection in a fork touches, and copies, all that was imported
    for line in sys.stdin:
        if os.fork() == 0:
            _work(json.loads(line))
    shutil.rmtree(folder)
    # The processes of this session, stopped ones too.
    os.killpg(0, signal.SIGKILL)


def _work(order: dict[str, Any]) -> None:
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if order["clock_error"]:
            _set_clock_wrong(order["clock_error"])
        module, _, function = order["program"].partition(":")
        program = getattr(importlib.import_module(module), function)
        anyio.run(_talk, program, order, backend=order["backend"])
        status = 0
    except BaseException:  # whatever it is, this must not go on as a second nursery
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


async def _talk(program: Any, order: dict[str, Any]) -> None:
    async with await anyio.connect_unix(order["socket"]) as stream:
        conversation = Conversation(stream)
        await conversation.say("hello", pid=os.getpid())
        try:
            await program(conversation, **order["arguments"])
        except BaseException:
            with anyio.CancelScope(shield=True):
                await conversation.say("crashed", traceback=traceback.format_exc())
            raise


def _set_clock_wrong(seconds: float) -> None:
    """Let this process believe in another time of day. Not its monotonic clocks: they have none."""
    time.time = partial(_shifted, time.time, seconds)
    time.time_ns = partial(_shifted, time.time_ns, int(seconds * 1e9))


def _shifted(clock: Any, shift: Any) -> Any:
    return clock() + shift


if __name__ == "__main__":
    main()
