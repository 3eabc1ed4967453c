"""Ends a program that hangs: in real time, where no virtual clock can help."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from types import TracebackType
from typing import Self

HUNG = 70
"""The exit status then."""


class Watchdog:
    """Watches what is done between two calls of `feed`, as a context manager.

    :param seconds: how long one thing may take
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._doing = "nothing yet"
        self._fed = self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def feed(self, doing: str) -> None:
        """Say what is begun now."""
        self._doing = doing
        self._fed.set()

    def __enter__(self) -> Self:
        self._fed, self._over = threading.Event(), threading.Event()
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._over.set()
        self._fed.set()
        self._thread.join()

    def _watch(self) -> None:
        while self._fed.wait(self._seconds):
            if self._over.is_set():
                return
            self._fed.clear()
        print(f"hangs for {self._seconds:g} s: {self._doing}", file=sys.stderr)
        faulthandler.dump_traceback(all_threads=True)
        os._exit(HUNG)  # nothing less ends a loop that spins
