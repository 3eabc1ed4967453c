"""The one query of the service."""

from typing import Final

__all__ = ("USER_QUERY",)

USER_QUERY: Final = "SELECT id, name, email, created_at FROM users WHERE id = $1"
