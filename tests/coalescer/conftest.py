"""A clock that the test moves."""

from tests.support import clock

__all__ = ("clock",)
