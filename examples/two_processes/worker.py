"""What runs in each process: a coalescer whose flights go through a lease.

Run it with ``python -m examples.two_processes.worker asyncio redis://localhost:6379``, and in
another terminal with ``trio``; then type topics. ``python -m examples.two_processes`` does that.
"""

from __future__ import annotations

import sys
from functools import partial

import anyio
import coredis

from anyflight import Coalescer
from anyflight.lease.valkey import ValkeyLease

#: How long the others wait for a process that was killed, in seconds.
TTL = 1


async def write_report(topic: str, author: str) -> str:
    """Stand for a slow query of yours."""
    tell(f"makes the report on {topic}")
    await anyio.sleep(1)
    return f"the report on {topic}, made by {author}"


async def main(name: str, url: str) -> None:
    """Answer for each topic that comes as a line of the input."""
    client = coredis.Redis.from_url(url)
    async with (
        client,
        ValkeyLease[str](client, namespace="reports", ttl=TTL) as lease,
        Coalescer[str, str](across=lease) as reports,
    ):
        tell("is ready")
        while topic := (await anyio.to_thread.run_sync(sys.stdin.readline)).strip():
            await answer(topic, name, reports)


async def answer(topic: str, name: str, reports: Coalescer[str, str]) -> None:
    """Let a hundred users ask at once."""
    got: list[str] = []

    async def user() -> None:
        got.append(await reports.execute(topic, write_report, topic, name))

    async with anyio.create_task_group() as users:
        for _ in range(100):
            users.start_soon(user)
    for report in sorted(set(got)):
        tell(f"gave {got.count(report)} users {report}")


def tell(what: str) -> None:
    """Print it now, not when the buffer is full."""
    print(what, flush=True)


if __name__ == "__main__":
    anyio.run(partial(main, *sys.argv[1:]), backend=sys.argv[1])
