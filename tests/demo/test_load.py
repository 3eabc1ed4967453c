"""A trace is sent on time, whatever becomes of the requests."""

from __future__ import annotations

from math import isfinite
from time import perf_counter

import anyio
import pytest

from demo.errors import WrongAnswerError
from demo.load import UNANSWERED, send_trace
from demo.traffic import Arrival, Trace

pytestmark = pytest.mark.anyio


def trace_of(*due: float) -> Trace:
    """Return a trace in which the user's id is the position."""
    arrivals = tuple(Arrival(at, number, "spike") for number, at in enumerate(due))
    return Trace(arrivals=arrivals, rows=9, spike_start=0, spike_end=1, end=1)


async def test_each_arrival_is_asked_once() -> None:
    asked = []

    async def ask(arrival: Arrival) -> None:
        asked.append(arrival)

    trace = trace_of(0, 0, 0.001, 0.01, 0.02)
    sent = await send_trace(trace, ask, start=perf_counter())
    assert sorted(asked) == list(trace.arrivals)
    assert sent.errors == [None] * 5


async def test_no_request_starts_before_it_is_due() -> None:
    async def ask(_: Arrival) -> None:
        pass

    sent = await send_trace(trace_of(0, 0.01, 0.02), ask, start=perf_counter())
    assert min(sent.lags) >= 0


async def test_latency_counts_from_when_a_request_was_due() -> None:
    async def ask(_: Arrival) -> None:
        pass

    sent = await send_trace(trace_of(-1, 0), ask, start=perf_counter())
    assert sent.lags[0] >= 1  # one second late from the start
    assert all(latency >= lag for latency, lag in zip(sent.latencies, sent.lags, strict=True))


async def test_slow_answers_hold_no_arrival_back() -> None:
    last_has_come = anyio.Event()

    async def ask(arrival: Arrival) -> None:
        if arrival.user_id == 2:
            last_has_come.set()
        await last_has_come.wait()

    sent = await send_trace(trace_of(0, 0.001, 0.002), ask, start=perf_counter())
    assert sent.errors == [None] * 3


async def test_an_error_is_one_request_s_own() -> None:
    async def ask(arrival: Arrival) -> None:
        if arrival.user_id == 1:
            raise OSError("down")

    sent = await send_trace(trace_of(0, 0, 0), ask, start=perf_counter())
    assert sent.errors == [None, "OSError", None]
    assert all(isfinite(latency) for latency in sent.latencies)


async def test_what_is_unanswered_when_patience_ends_is_cancelled_and_an_error() -> None:
    async def ask(arrival: Arrival) -> None:
        if arrival.user_id == 0:
            await anyio.sleep_forever()

    sent = await send_trace(trace_of(0, 0.01), ask, start=perf_counter(), patience=0.01)
    assert sent.errors == [UNANSWERED, None]
    assert sent.latencies[0] > 0


async def test_a_wrong_answer_ends_the_run() -> None:
    async def ask(arrival: Arrival) -> None:
        if arrival.user_id == 1:
            raise WrongAnswerError("not this one")
        await anyio.sleep_forever()

    with pytest.raises(WrongAnswerError, match="not this one"):
        await send_trace(trace_of(0, 0, 0, 3600), ask, start=perf_counter())
