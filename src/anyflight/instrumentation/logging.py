"""An instrument that writes to the standard library's log."""

from __future__ import annotations

__all__ = ("LoggingInstrument",)

import logging

from anyflight import CallJoined, CallLeft, FlightLanded, FlightStarted, Instrument


class LoggingInstrument(Instrument):
    """Logs each event in one line, with the event record as ``record.event``.

    .. code-block:: python

        import logging
        import anyio
        from anyflight import Coalescer
        from anyflight.instrumentation.logging import LoggingInstrument

        async def main() -> None:
            log = LoggingInstrument(level=logging.INFO)
            async with Coalescer[int, None](name="users", instruments=[log]) as users:
                await users.execute(42, anyio.sleep, 0)

        anyio.run(main)

    It is an example too: an instrument for another place has the same four methods.

    :param logger: where to; ``logging.getLogger("anyflight")`` if not given
    :param level: at which level
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int = logging.DEBUG) -> None:
        self._logger = logging.getLogger("anyflight") if logger is None else logger
        self._level = level

    def flight_started(self, event: FlightStarted) -> None:
        """Log which key, and whether the flight is queued."""
        how = "queued" if event.queued else "started"
        self._log(event, "%s: flight %r %s", event.coalescer, event.key, how)

    def call_joined(self, event: CallJoined) -> None:
        """Log which key, and how many wait now."""
        self._log(event, "%s: call joined %r (%d wait)", event.coalescer, event.key, event.waiters)

    def call_left(self, event: CallLeft) -> None:
        """Log which key, and how many still wait."""
        self._log(event, "%s: call left %r (%d wait)", event.coalescer, event.key, event.waiters)

    def flight_landed(self, event: FlightLanded) -> None:
        """Log the outcome, the durations in seconds, and for how many calls it was."""
        self._log(
            event,
            "%s: flight %r %s after %.6f + %.6f s, for %d calls%s",
            event.coalescer,
            event.key,
            event.outcome.replace("_", " "),
            event.delay,
            event.duration,
            event.waiters,
            "" if event.error is None else f": {event.error!r}",
        )

    def _log(self, event: object, message: str, *args: object) -> None:
        self._logger.log(self._level, message, *args, extra={"event": event})
