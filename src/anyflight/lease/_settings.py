"""The options of a lease, checked."""

from __future__ import annotations

__all__ = ("LONGEST", "Settings")

import math
from dataclasses import dataclass
from typing import Final, Literal

from anyflight._checks import check_choice, check_count, check_instance, checked_number

#: Servers count milliseconds, and an answer takes one or two.
SHORTEST_TTL: Final = 0.1
#: About 31 years: what is more, in microseconds since 1970, a script's numbers could not hold.
LONGEST: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What :class:`Lease` was given; its docstring says what each of them means."""

    name: str
    ttl: float
    poll_interval: float
    outcome_ttl: float
    request_timeout: float
    retry_interval: float
    max_value_bytes: int
    on_lost: Literal["cancel", "finish"]
    on_unreachable: Literal["run", "raise"]

    def __post_init__(self) -> None:
        check_instance(self.name, "name", str)
        for argument in ("poll_interval", "outcome_ttl", "request_timeout", "retry_interval"):
            _check_seconds(getattr(self, argument), argument)
        _check_seconds(self.ttl, "ttl")
        if self.ttl < SHORTEST_TTL:
            raise ValueError(f"ttl must be at least {SHORTEST_TTL} seconds, but is {self.ttl!r}")
        check_count(self.max_value_bytes, "max_value_bytes", optional=False)
        check_choice(self.on_lost, "on_lost", ("cancel", "finish"))
        check_choice(self.on_unreachable, "on_unreachable", ("run", "raise"))


def _check_seconds(value: object, argument: str) -> None:
    """Raise unless ``value`` is a positive, finite number of seconds."""
    number = checked_number(value, argument, "a number of seconds")
    if not 0 < number < math.inf or number > LONGEST:
        raise ValueError(
            f"{argument} must be more than zero seconds and at most {LONGEST:.0f}, but is {value!r}"
        )
