"""What must hold of a coalescer at every moment, and when everything is over."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import anyio

from anyflight import Coalescer, FlightState
from proof.history import CallRecord, History, Result
from proof.plans import Call


def look_at_the_table(coalescer: Coalescer[str, Result], history: History) -> None:
    """Compare the statistics with each other, with the flights, and with the calls."""
    now, flights = coalescer.statistics(), coalescer.flights()
    remark = partial(history.remark, 16)
    if now.calls != now.flights + now.joined + now.refused:
        remark(f"calls are not flights, joined and refused: {now}")
    if now.flights != now.succeeded + now.failed + now.cancelled + now.in_flight:
        remark(f"flights are not those that ended and those in the air: {now}")
    if now.in_flight != len(flights):
        remark(f"{now.in_flight} flights are counted, and there are {len(flights)}")
    waiting = sum(each.waiters for each in flights)
    pending = sum(call.waits for call in history.calls)
    if not now.waiting == waiting <= pending:
        remark(f"{now.waiting} waiters counted, {waiting} known to flights, {pending} exist")
    held = [
        (each.key, each.state is FlightState.QUEUED)
        for each in flights
        if each.state is not FlightState.DETACHED
    ]
    if len(held) != len(set(held)):
        history.remark(5, f"two flights in one place: {flights}")


async def use_again(
    coalescer: Coalescer[str, Result], keys: Iterable[str], history: History
) -> None:
    """Open the coalescer again: no key may be dead, and none may remember anything."""
    for key in keys:
        again = Result(CallRecord(-1, Call(key=key), None))

        async def work(again: Result = again) -> Result:
            return again

        value: Result | Exception | None = None
        try:
            with anyio.move_on_after(1.0):
                async with coalescer:
                    value = await coalescer.execute(key, work)
        except Exception as exc:
            value = exc
        if value is not again:
            history.remark(16, f"key {key!r} is dead, or remembers: {value!r}")
    look_at_the_table(coalescer, history)
