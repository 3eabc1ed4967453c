"""The service over HTTP, on the back end of the server that runs it.

From the command line, with `USER_SERVICE_DSN` set::

    uvicorn --factory examples.user_service.app:app_from_environment
    hypercorn --worker-class trio "examples.user_service.app:app_from_environment()"
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC
from typing import TypedDict

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from anyflight import FlightCancelledError
from examples.user_service.database import Database, open_database
from examples.user_service.service import User, UserNotFoundError, UserService

__all__ = ("app_from_environment", "create_app")

# The type of the column is bigint.
_MAX_ID = 2**63 - 1


class _State(TypedDict):
    """What the lifespan gives to each request."""

    database: Database
    service: UserService


def create_app(dsn: str, *, pool_size: int = 10) -> Starlette:
    """Return the application; it connects to the database when a server starts it."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[_State]:
        async with (
            open_database(dsn, pool_size=pool_size) as database,
            UserService(database) as service,
        ):
            yield {"database": database, "service": service}

    return Starlette(
        lifespan=lifespan,
        routes=[Route("/users/{id}", get_user), Route("/stats", get_statistics)],
        exception_handlers={
            _InvalidIdError: _answer(422),
            UserNotFoundError: _answer(404),
            anyio.ClosedResourceError: _answer(503, "the service is closing"),
            FlightCancelledError: _answer(503, "the service is closing"),
        },
    )


def app_from_environment() -> Starlette:
    """Return the application as `USER_SERVICE_DSN` and `USER_SERVICE_POOL_SIZE` describe it.

    Raises `KeyError` if the first is not set; the second has a default.
    """
    pool_size = int(os.environ.get("USER_SERVICE_POOL_SIZE", "10"))
    return create_app(os.environ["USER_SERVICE_DSN"], pool_size=pool_size)


async def get_user(request: Request) -> JSONResponse:
    """Answer `GET /users/{id}`."""
    service: UserService = request.state.service
    return JSONResponse(_user_as_json(await service.get_user(_parse_id(request.path_params["id"]))))


async def get_statistics(request: Request) -> JSONResponse:
    """Answer `GET /stats`: what the coalescer has done, and how busy the pool is."""
    service: UserService = request.state.service
    database: Database = request.state.database
    pool = {
        "size": database.gauge.size,
        "in_use": database.gauge.in_use,
        "busy_seconds": database.gauge.busy_seconds(anyio.current_time()),
    }
    return JSONResponse({"coalescer": asdict(service.statistics()), "pool": pool})


class _InvalidIdError(ValueError):
    """Raised when a path names what cannot be a user's id."""


def _parse_id(text: str) -> int:
    # Stricter than `int()`, which takes signs, spaces, underscores and other scripts' digits; and
    # not Starlette's `{id:int}`, which answers 404 to text and 500 to 5000 digits.
    if text.isascii() and text.isdecimal() and len(text) <= len(str(_MAX_ID)):
        user_id = int(text)
        if user_id <= _MAX_ID:
            return user_id
    raise _InvalidIdError(f"a user's id is a whole number from 0 to {_MAX_ID}")


def _user_as_json(user: User) -> dict[str, object]:
    return {**asdict(user), "created_at": user.created_at.astimezone(UTC).isoformat()}


def _answer(
    status_code: int, message: str | None = None
) -> Callable[[Request, Exception], Response]:
    """Return an exception handler that says `message`, or else what the exception says."""

    def answer(_request: Request, error: Exception) -> Response:
        return JSONResponse({"error": message or str(error)}, status_code=status_code)

    return answer
