"""The decorator of the module takes every option of a coalescer, and makes one with them."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import anyio
import pytest

from anyflight import Coalescer, FlightTimeoutError, Instrument, coalesced
from anyflight._decorator import CoalescerOptions
from tests.coalesced.flying import fly
from tests.support import Work


def test_there_is_no_option_that_it_does_not_take() -> None:
    options = set(inspect.signature(Coalescer.__init__).parameters) - {"self"}
    assert CoalescerOptions.__optional_keys__ == options
    assert CoalescerOptions.__required_keys__ == set()


def test_the_name_is_that_of_the_function_unless_it_is_given() -> None:
    async def f() -> None: ...

    assert repr(coalesced(f).coalescer).startswith(f"<Coalescer {f.__qualname__!r} (new)")
    assert repr(coalesced(f, name="f").coalescer).startswith("<Coalescer 'f' (new)")
    assert repr(coalesced(name="f")(f).coalescer).startswith("<Coalescer 'f' (new)")


def test_each_function_gets_a_coalescer_of_its_own() -> None:
    decorate = coalesced(on_abandon="finish")

    @decorate
    async def one() -> None: ...

    @decorate
    async def other() -> None: ...

    assert one.coalescer is not other.coalescer


@pytest.mark.parametrize(
    ("options", "error"),
    [({"on_abandon": "stop"}, ValueError), ({"timeout": 1}, TypeError), ({"func": 1}, TypeError)],
)
def test_a_wrong_option_is_refused(options: Any, error: type[Exception]) -> None:
    async def f() -> None: ...

    with pytest.raises(error, match=next(iter(options))):
        coalesced(**options)(f)


@pytest.mark.anyio
async def test_options_have_their_effect() -> None:
    class Log(Instrument):
        def flight_started(self, event: Any) -> None:
            started.append(event.key)

    started: list[Any] = []
    work = Work()

    @coalesced(copy=copy.copy, flight_timeout=60, instruments=[Log()], key=len)
    async def f(x: str) -> list[str]:
        await work()
        return [x]

    async with f.coalescer, anyio.create_task_group() as tasks:
        one, other = await fly(tasks, lambda: f("ada"), lambda: f("bob"))
        work.go.set()
    assert one.value == other.value == ["ada"]
    assert one.value is not other.value
    assert started == [3]


@pytest.mark.anyio
async def test_a_flight_that_takes_too_long() -> None:
    @coalesced(flight_timeout=0.01)
    async def f() -> None:
        await anyio.sleep_forever()

    async with f.coalescer:
        with pytest.raises(FlightTimeoutError):
            await f()
