"""What must hold of what is under proof at every moment, and when everything is over."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import anyio

from anyflight import FlightInfo, FlightState
from proof.history import CallRecord, History, Result
from proof.setting import Ear, Setting


def look_at_the_table(setting: Setting, history: History[Any]) -> None:
    """Compare the statistics with each other, with the flights, and with the calls."""
    waiting = 0
    for number, subject in enumerate(setting.subjects):
        now, flights = subject.statistics(), subject.flights()
        waiting += now.waiting
        _look_at_one(now, flights, history)
        if setting.ears:
            _compare_with_what_was_heard(setting.ears[number], now, flights, history)
    pending = sum(len(call.plan.keys) for call in history.calls if call.waits)
    pending += setting.unattended()
    if waiting > pending:
        history.remark(16, f"{waiting} waiters counted, {pending} exist")
    setting.look_at_bounds(history)


def _look_at_one(now: Any, flights: tuple[FlightInfo, ...], history: History[Any]) -> None:
    remark = partial(history.remark, 16)
    if now.calls + getattr(now, "retried", 0) != now.flights + now.joined + now.refused:
        remark(f"calls and second attempts are not flights, joined and refused: {now}")
    if now.flights != (now.succeeded + now.failed + now.cancelled + now.timed_out + now.in_flight):
        remark(f"flights are not those that ended and those in the air: {now}")
    if now.in_flight != len(flights):
        remark(f"{now.in_flight} flights are counted, and there are {len(flights)}")
    if now.waiting != (waiting := sum(each.waiters for each in flights)):
        remark(f"{now.waiting} waiters counted, {waiting} known to flights")
    held = [
        (each.key, each.state is FlightState.QUEUED)
        for each in flights
        if each.state is not FlightState.DETACHED
    ]
    if len(held) != len(set(held)):
        history.remark(5, f"two flights in one place: {flights}")


def _compare_with_what_was_heard(
    ear: Ear, now: Any, flights: tuple[FlightInfo, ...], history: History[Any]
) -> None:
    for name in ("flights", "joined", "succeeded", "failed", "cancelled", "timed_out"):
        if ear.heard[name] != getattr(now, name):
            history.remark(None, f"the instrument was told of {ear.heard[name]} {name}: {now}")
    gone = ear.heard["left"] + ear.heard["served"]
    if ear.heard["flights"] + ear.heard["joined"] - gone != sum(each.waiters for each in flights):
        history.remark(None, f"by what the instrument was told, others wait: {ear.heard}")


async def use_again(setting: Setting, keys: Iterable[str], history: History[Any]) -> None:
    """Open everything again: no key may be dead, and none may remember anything."""
    for key in keys:
        again = Result(CallRecord(-1, None, None))
        value: Result | Exception | None = None
        try:
            with anyio.move_on_after(2.0):
                value = await setting.once_more(key, again)
        except Exception as exc:
            value = exc
        if value is not again:
            history.remark(16, f"key {key!r} is dead, or remembers: {value!r}")
    look_at_the_table(setting, history)
    setting.look_at_what_is_left(history)
