"""Errors that are kept: each who gets one gets a copy of its own."""

from __future__ import annotations

__all__ = ("failure_of", "raise_kept")

from collections.abc import Hashable
from typing import NoReturn

from anyflight._isolation import copied_or_shared
from anyflight._outcome import Failure


def failure_of(error: Exception) -> Failure:
    """Return what copies of an error can be made from.

    To be called in the frame that caught it, which is taken off the traceback of what is kept: else
    that would keep whatever the frame holds.
    """
    traceback = error.__traceback__  # None: it was made here, and never raised
    BaseException.with_traceback(error, None if traceback is None else traceback.tb_next)
    try:
        return Failure(copied_or_shared(error))
    finally:
        BaseException.with_traceback(error, traceback)


def raise_kept(failure: Failure, key: Hashable) -> NoReturn:
    """Raise a copy of an error that is kept, as a waiter of its flight would get it."""
    error = failure.to_raise(key, alone=False)
    context = error.__context__
    try:
        raise error
    finally:
        if context is not None:
            # If the caller is handling an exception, `raise` has put that in its place.
            BaseException.__setattr__(error, "__context__", context)
        # The traceback of the error holds this frame: it must not hold the error in turn.
        del failure, error, context
