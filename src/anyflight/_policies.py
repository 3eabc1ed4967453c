"""The options of a coalescer, and of a batch loader, checked."""

from __future__ import annotations

__all__ = ("Batching", "Policies")

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from anyio import CapacityLimiter

from ._checks import (
    check_callable,
    check_choice,
    check_count,
    check_delay,
    check_duration,
    check_exceptions,
    check_instance,
)
from ._events import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What :class:`Coalescer` was given; its docstring says what each of them means."""

    name: str
    flight_timeout: float | None
    limiter: CapacityLimiter | None
    copy: Callable[[Any], Any] | None
    context: Literal["caller", "owner"]
    instruments: Iterable[Instrument]
    on_abandon: Literal["cancel", "finish"] = "cancel"
    retry_on: type[Exception] | tuple[type[Exception], ...] = ()
    max_join_age: float | None = None
    max_waiters: int | None = None
    shadow: bool = False

    def __post_init__(self) -> None:
        check_choice(self.on_abandon, "on_abandon", ("cancel", "finish"))
        check_exceptions(self.retry_on, "retry_on")
        check_duration(self.flight_timeout, "flight_timeout")
        check_duration(self.max_join_age, "max_join_age")
        check_count(self.max_waiters, "max_waiters")
        if self.limiter is not None:
            check_instance(self.limiter, "limiter", CapacityLimiter)
        if self.copy is not None:
            check_callable(self.copy, "copy")
        check_choice(self.context, "context", ("caller", "owner"))
        check_instance(self.shadow, "shadow", bool)
        object.__setattr__(self, "instruments", tuple(self.instruments))  # it may be an iterator
        for instrument in self.instruments:
            check_instance(instrument, "each of instruments", Instrument)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """What :class:`BatchLoader` was given beside policies."""

    load_batch: Callable[[list[Any]], Awaitable[Any]]
    max_batch_size: int
    max_delay: float
    max_concurrent_batches: int

    def __post_init__(self) -> None:
        check_callable(self.load_batch, "load_batch")
        check_count(self.max_batch_size, "max_batch_size", optional=False)
        check_delay(self.max_delay, "max_delay")
        check_count(self.max_concurrent_batches, "max_concurrent_batches", optional=False)
