"""The clock of the event loop, by the shortest way."""

from __future__ import annotations

__all__ = ("loop_clock",)

from collections.abc import Callable
from typing import Any, cast

from anyio.lowlevel import current_token


def loop_clock() -> Callable[[], float]:
    """Return a function that tells the time of this event loop, as `anyio.current_time` does.

    That one looks up the back end each time, for several times as long as a hit takes otherwise. An
    event loop of asyncio, which is the native token there, has a method for it.
    """
    token = current_token()
    native: Any = token.native_token
    return cast("Callable[[], float]", getattr(native, "time", token.backend_class.current_time))
