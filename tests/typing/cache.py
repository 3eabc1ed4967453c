"""Usage of the cache as type checkers must see it; checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import Any, assert_type

from anyflight import (
    BatchLoader,
    CacheStatistics,
    CacheStore,
    CoalescerStatistics,
    ReadThroughCache,
    StoredValue,
)


class User: ...


class Pool: ...


async def fetch_user(pool: Pool, user_id: int) -> User:
    raise NotImplementedError


async def fetch_name(user_id: int) -> str:
    raise NotImplementedError


async def load_users(user_ids: list[int]) -> dict[int, User]:
    raise NotImplementedError


def blocking(user_id: int) -> User:
    raise NotImplementedError


class Store:
    """Any class with these methods is a store."""

    async def get(self, key: int, /) -> StoredValue[User] | None:
        raise NotImplementedError

    async def set(self, key: int, stored: StoredValue[User], /, *, keep: float) -> None: ...

    async def delete(self, key: int, /) -> None: ...

    async def delete_tag(self, tag: str, /) -> None: ...

    async def clear(self) -> None: ...


class NotFound(Exception): ...


#: Checkers infer a mapping from these classes, not from any class of exceptions.
ERROR_TTL = {NotFound: 5, LookupError: 1.5}


async def get(pool: Pool) -> None:
    users = ReadThroughCache[int, User](
        ttl=60, error_ttl={KeyError: 5, LookupError: 1.5}, store=Store(), name="users"
    )
    async with users as opened:
        assert_type(opened, ReadThroughCache[int, User])
    ReadThroughCache[int, User](ttl=60, error_ttl=ERROR_TTL)
    assert_type(await users.get(42, fetch_user, pool, 42), User)
    assert_type(await users.get(42, fetch_user, pool, 42, fresh=True, tags=["a"]), User)
    assert_type(users.peek(42), User | None)
    assert_type(users.peek(42, "nobody"), User | str)
    assert_type(await users.set(42, User(), tags={"a"}), None)
    assert_type(await users.invalidate(42), None)
    assert_type(await users.invalidate_tag("a"), None)
    assert_type(await users.clear(), None)
    assert_type(users.statistics(), CacheStatistics)
    assert_type(users.statistics().coalescing, CoalescerStatistics)
    loader = BatchLoader(load_users)
    assert_type(await users.get_many([1, 2], loader, tags=["a"]), dict[int, User])


async def wrong_arguments(users: ReadThroughCache[int, User], pool: Pool) -> None:
    await users.get("42", fetch_user, pool, 42)  # type: ignore[arg-type]
    await users.get([42], fetch_user, pool, 42)  # type: ignore[arg-type]
    await users.get(42, fetch_user, pool)  # type: ignore[arg-type]
    await users.get(42, fetch_name, 42)  # type: ignore[arg-type]
    await users.get(42, blocking, 42)  # type: ignore[arg-type]
    await users.set(42, "Ada")  # type: ignore[arg-type]
    await users.invalidate("42")  # type: ignore[arg-type]
    await users.get_many(["42"], BatchLoader(load_users))  # type: ignore[list-item]
    users.peek("42")  # type: ignore[call-overload]


def wrong_options() -> None:
    ReadThroughCache[int, User]()  # type: ignore[call-arg]
    ReadThroughCache[int, User](60)  # type: ignore[call-arg]
    ReadThroughCache[int, User](ttl="60")  # type: ignore[arg-type]
    ReadThroughCache[int, User](ttl=60, error_ttl={KeyboardInterrupt: 1})  # type: ignore[type-var]
    ReadThroughCache[int, str](ttl=60, store=Store())  # type: ignore[arg-type]
    ReadThroughCache[list[int], User](ttl=60)  # type: ignore[type-var]


def stores(store: CacheStore[Any, Any], stored: StoredValue[User]) -> None:
    assert_type(stored.value, User)
    assert_type(stored.tags, frozenset[str])
    ReadThroughCache[int, User](ttl=60, store=store)
