"""What the service is about."""

from dataclasses import dataclass
from datetime import datetime

__all__ = ("User", "UserNotFoundError")


@dataclass(frozen=True, slots=True)
class User:
    """One row of the table `users`. Immutable, so that many requests can share one instance."""

    id: int
    name: str
    email: str
    created_at: datetime


class UserNotFoundError(LookupError):
    """Raised when there is no user of that id."""

    def __init__(self, user_id: int) -> None:
        super().__init__(user_id)
        self.user_id = user_id

    def __str__(self) -> str:
        return f"there is no user {self.user_id}"
