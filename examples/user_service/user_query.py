"""The queries of the service."""

from typing import Final

__all__ = ("USERS_QUERY", "USER_QUERY")

USER_QUERY: Final = "SELECT id, name, email, created_at FROM users WHERE id = $1"
USERS_QUERY: Final = "SELECT id, name, email, created_at FROM users WHERE id = ANY($1)"
