"""What must not be there when a process, or everything, is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import anyio
import trio

from anyflight.lease import Lease, MemoryStore
from proof.lease.history import LeaseHistory
from proof.lease.ledger import Ledger


def left_in(lease: Lease[str]) -> Iterator[str]:
    """Yield what is left in a lease that was closed."""
    if lease.core._hearing._waiting:
        yield f"somebody waits for messages still: {lease.core._hearing._waiting}"
    if lease.core._holdings._held:
        yield f"something is held still: {lease.core._holdings._held}"
    now = lease.statistics()
    ways = (now.ran, now.ran_unreachable, now.ran_unshared, now.shared, now.remote_errors)
    if now.calls != sum(ways) + now.given_up or now.taking_part or now.holding:
        yield f"calls are not what became of them: {now}"


def left_on_the_server(history: LeaseHistory) -> Iterator[str]:
    """Yield what keeps on the server longer than it was asked for, or is asked for still."""
    for ask in history.asks:
        if ask.sent.tick > history.over.tick:
            yield f"{ask} was sent when its process was over"
    now, ledger = history.clock(), Ledger(history)
    for lease in ledger.leases:
        if lease.lasts(now) and not lease.how:
            yield f"{lease} lasts until {lease.until:g}"
    for stored in ledger.stored:
        if stored.until > now:
            yield f"{stored} is there until {stored.until:g}"


async def use_again(store: MemoryStore, keys: Iterable[str], history: LeaseHistory) -> None:
    """Execute once more for each key: none may be dead, and none may remember anything."""

    async def work() -> str:
        return "again"

    for key in keys:
        value: object = None
        start = trio.current_time()
        with anyio.move_on_after(10):
            async with Lease[str](store) as lease:
                value = await lease.execute(key, work)
        if value != "again" or trio.current_time() > start:
            history.remark(32, f"key {key!r} is dead, or remembers: {value!r}")
