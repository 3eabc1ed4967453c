"""Usage as type checkers must see it; checked by mypy and pyright, never run.

Each ignore marks a line that must be an error: both checkers are told to reject an ignore that
is not needed.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Hashable
from typing import assert_type

from anyflight import Coalescer, CoalescerStatistics, FlightCancelledError, FlightInfo, FlightState


class User: ...


class Pool: ...


async def fetch_user(pool: Pool, user_id: int) -> User:
    raise NotImplementedError


async def fetch_name(user_id: int) -> str:
    raise NotImplementedError


def promise(user_id: int) -> Awaitable[User]:
    raise NotImplementedError


def blocking(user_id: int) -> User:
    raise NotImplementedError


async def execute(pool: Pool) -> None:
    users = Coalescer[int, User](name="users", on_abandon="finish", context="owner")
    async with users as opened:
        assert_type(opened, Coalescer[int, User])
    assert_type(await users.execute(42, fetch_user, pool, 42), User)
    assert_type(await users.execute(42, promise, 42), User)
    assert_type(await users.execute(42, fetch_user, pool, 42, fresh=True), User)
    assert_type(
        await users.execute(42, fetch_user, pool, 42, timeout=0.1, fallback=fetch_user), User
    )


async def wrong_arguments(users: Coalescer[int, User], pool: Pool) -> None:
    await users.execute("42", fetch_user, pool, 42)  # type: ignore[arg-type]
    await users.execute([42], fetch_user, pool, 42)  # type: ignore[arg-type]
    await users.execute(42, fetch_user, pool)  # type: ignore[arg-type]
    await users.execute(42, fetch_user, 42, pool)  # type: ignore[arg-type]
    await users.execute(42, fetch_name, 42)  # type: ignore[arg-type]
    await users.execute(42, blocking, 42)  # type: ignore[arg-type]
    await users.execute(42, fetch_user, pool, 42, timeout="1")  # type: ignore[arg-type]
    await users.execute(42, fetch_user, pool, 42, timeout=1, fallback=fetch_name)  # type: ignore[arg-type]


def wrong_options() -> None:
    Coalescer[int, User](on_abandon="stop")  # type: ignore[arg-type]
    Coalescer[int, User](context="request")  # type: ignore[arg-type]
    Coalescer[int, User]("users")  # type: ignore[call-arg]
    Coalescer[list[int], User]()  # type: ignore[type-var]


def the_rest(users: Coalescer[int, User], lists: Coalescer[str, list[int]]) -> None:
    assert_type(users.forget(42), bool)
    assert_type(users.statistics(), CoalescerStatistics)
    assert_type(users.statistics().joined, int)
    assert_type(users.flights(), tuple[FlightInfo, ...])
    assert_type(users.flights()[0].state, FlightState)
    assert_type(FlightCancelledError("gone", 42).key, Hashable)
    Coalescer[str, list[int]](copy=copy.copy)
    Coalescer[str, list[int]](copy=list)
    Coalescer[str, list[int]](copy=len)  # type: ignore[arg-type]
