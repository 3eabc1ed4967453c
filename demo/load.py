"""Sends a trace on time, however slow the answers are.

Latency counts from the moment when a request was *due*, not from when it was started: a generator
that falls behind, or waits for answers, would otherwise leave out the worst of what users see
(coordinated omission). How far it fell behind is recorded as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import anyio

from demo.clock import sleep_until
from demo.errors import WrongAnswerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from demo.traffic import Arrival, Trace

PATIENCE = 30.0
"""Seconds after the last arrival; what is unanswered then is cancelled and counts as an error."""

UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of a trace's requests; all lists are in the order of the trace."""

    lags: list[float]
    """Seconds from due to started: the generator's own delay."""

    latencies: list[float]
    """Seconds from due to the answer, the error or the cancellation."""

    errors: list[str | None]
    """The name of the error, None for an answer."""

    @classmethod
    def room_for(cls, count: int) -> Sent:
        """Allocate the lists before the first request, so that recording is one assignment."""
        return cls(lags=[0.0] * count, latencies=[math.nan] * count, errors=[UNANSWERED] * count)


async def send_trace(
    trace: Trace,
    ask: Callable[[Arrival], Awaitable[None]],
    *,
    start: float,
    patience: float = PATIENCE,
) -> Sent:
    """Call `ask` once for each arrival when it is due, wait for all, and say what became of them.

    `start` is the time of the trace's zero on the clock `time.perf_counter`. An `Exception` from
    `ask` is that request's error and disturbs no other, but `WrongAnswerError` ends the run.
    """
    sent = Sent.room_for(len(trace.arrivals))
    wrong: list[WrongAnswerError] = []

    async def request(position: int, arrival: Arrival) -> None:
        due = start + arrival.due
        sent.lags[position] = perf_counter() - due
        try:
            await ask(arrival)
            sent.errors[position] = None
        except WrongAnswerError as error:
            wrong.append(error)
            scope.cancel()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this request's outcome
            sent.errors[position] = type(error).__name__
        finally:
            sent.latencies[position] = perf_counter() - due

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as requests:
            position = 0
            while position < len(trace.arrivals):
                # One sleep for each look at the clock, also of length 0: the others get their turn.
                await sleep_until(start + trace.arrivals[position].due)
                now = perf_counter() - start
                while position < len(trace.arrivals) and trace.arrivals[position].due <= now:
                    requests.start_soon(request, position, trace.arrivals[position])
                    position += 1
            scope.deadline = anyio.current_time() + patience
    if wrong:
        raise wrong[0]
    return sent
