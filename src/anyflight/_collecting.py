"""What a call for many keys makes of the flights of these keys."""

from __future__ import annotations

__all__ = ("Copy", "Flights", "Joined", "gather", "settle")

from collections.abc import Callable, Container, Hashable, Mapping
from typing import Any, TypeAlias, TypeVar, cast

from ._batch import KeyFlight
from ._delivery import deliver
from ._outcome import Failing, Missing, Value

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: The flight of each key.
Flights: TypeAlias = Mapping[K, KeyFlight]
#: Those of them that the call has joined, and not started.
Joined: TypeAlias = Container[KeyFlight]
Copy: TypeAlias = Callable[[V], V]


async def gather(flights: Flights[K], joined: Joined, copy: Copy[V] | None) -> dict[K, V]:
    """Return the values, as soon as there are all of them; or raise an error."""
    found: dict[K, V] = {}
    flight: KeyFlight | None = None
    try:
        for key, flight in flights.items():
            if flight.outcome is None:
                await flight.landing.wait()
            if type(flight.outcome) is Value and copy is None:
                found[key] = flight.outcome.value
            elif type(flight.outcome) is not Missing:
                found[key] = deliver(flight, copy, starter=flight not in joined, alone=False)
    except BaseException:
        found.clear()  # what is raised may be kept for long, and with it this frame
        raise
    finally:
        flight = None
    return found


async def settle(
    flights: Flights[K], joined: Joined, copy: Copy[V] | None
) -> dict[K, V | Exception]:
    """Return values and errors, when all are there."""
    for flight in flights.values():
        if flight.outcome is None:
            await flight.landing.wait()
    return {
        key: _value_or_error(flight, copy, starter=flight not in joined)
        for key, flight in flights.items()
    }


def _value_or_error(flight: KeyFlight, copy: Copy[Any] | None, *, starter: bool) -> Any:
    outcome = flight.outcome
    if not isinstance(outcome, Value):
        return cast("Failing | Missing", outcome).to_raise(flight.key, alone=False)
    if copy is None:
        return outcome.value
    return deliver(flight, copy, starter=starter, alone=False)
