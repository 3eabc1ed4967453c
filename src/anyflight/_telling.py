"""Telling instruments what happens, without harm from any of them."""

from __future__ import annotations

__all__ = ("Telling",)

import logging
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger("anyflight")


class Telling:
    """Hands event records to each instrument, as long as it does not raise.

    :param name: the name of what they are told of
    """

    __slots__ = ("_instruments", "_name")

    def __init__(self, name: str, instruments: Iterable[Any]) -> None:
        self._name = name
        self._instruments = list(instruments)

    def tell(self, method: str, event: Any) -> None:
        """Call a method of each instrument."""
        for instrument in tuple(self._instruments):
            try:
                getattr(instrument, method)(event)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # a cancellation too: nothing here can have been cancelled
                # By identity, and it may have been dropped in a call that it made from there.
                self._instruments = [one for one in self._instruments if one is not instrument]
                logger.exception(
                    "%r raised in %s and is told of nothing more by %r",
                    instrument,
                    method,
                    self._name,
                )
