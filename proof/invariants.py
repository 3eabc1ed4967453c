"""What must hold of a coalescer at every moment, and when everything is over."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import anyio

from anyflight import CoalescerStatistics, FlightInfo, FlightState
from proof.history import CallRecord, History, Result
from proof.plans import Call
from proof.setting import Ear, Setting


def look_at_the_table(setting: Setting, history: History) -> None:
    """Compare the statistics with each other, with the flights, and with the calls."""
    now, flights = setting.coalescer.statistics(), setting.coalescer.flights()
    remark = partial(history.remark, 16)
    if now.calls + now.retried != now.flights + now.joined + now.refused:
        remark(f"calls and second attempts are not flights, joined and refused: {now}")
    if now.flights != (now.succeeded + now.failed + now.cancelled + now.timed_out + now.in_flight):
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
    most = setting.policies.max_waiters
    if most is not None and any(each.waiters > most for each in flights):
        history.remark(12, f"more than {most} wait: {flights}")
    if setting.ear is not None:
        _compare_with_what_was_heard(setting.ear, now, flights, history)
    setting.look_at_the_tokens(history)


def _compare_with_what_was_heard(
    ear: Ear, now: CoalescerStatistics, flights: tuple[FlightInfo, ...], history: History
) -> None:
    for name in ("flights", "joined", "succeeded", "failed", "cancelled", "timed_out"):
        if ear.heard[name] != getattr(now, name):
            history.remark(None, f"the instrument was told of {ear.heard[name]} {name}: {now}")
    gone = ear.heard["left"] + ear.heard["served"]
    if ear.heard["flights"] + ear.heard["joined"] - gone != sum(each.waiters for each in flights):
        history.remark(None, f"by what the instrument was told, others wait: {ear.heard}")


async def use_again(setting: Setting, keys: Iterable[str], history: History) -> None:
    """Open the coalescer again: no key may be dead, and none may remember anything."""
    for key in keys:
        again = Result(CallRecord(-1, Call(key=key), None))

        async def work(again: Result = again) -> Result:
            return again

        value: Result | Exception | None = None
        try:
            with anyio.move_on_after(1.0):
                async with setting.coalescer:
                    value = await setting.coalescer.execute(key, work)
        except Exception as exc:
            value = exc
        if value is not again:
            history.remark(16, f"key {key!r} is dead, or remembers: {value!r}")
    look_at_the_table(setting, history)
    setting.look_at_what_is_left(history)
