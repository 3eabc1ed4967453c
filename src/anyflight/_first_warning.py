"""A warning of the first of what is alike."""

from __future__ import annotations

__all__ = ("FirstWarning",)

import logging

logger = logging.getLogger("anyflight")


class FirstWarning:
    """Logs the first as a warning and all others as DEBUG, for they will be like it."""

    __slots__ = ("_given",)

    def __init__(self) -> None:
        self._given = False

    def give(
        self, message: str, *args: object, exc_info: bool | BaseException | None = None
    ) -> None:
        """Log a message, which says besides that more of this is DEBUG."""
        level = logging.DEBUG if self._given else logging.WARNING
        self._given = True
        template = f"{message}; more of this is logged as DEBUG"
        logger.log(level, template, *args, exc_info=exc_info, stacklevel=2)
