"""Usage of the lease as type checkers must see it; checked by mypy and pyright, never run."""

from __future__ import annotations

import pickle
from collections.abc import AsyncGenerator, Callable
from typing import Any, assert_type

import coredis

from anyflight import Coalescer, ReadThroughCache, coalesced
from anyflight.lease import (
    Acquired,
    Codec,
    Hear,
    JSONCodec,
    Lease,
    LeaseEnd,
    LeaseEnded,
    LeaseInstrument,
    LeaseStatistics,
    LeaseStore,
    MemoryStore,
    Notice,
    Outcome,
    RemoteFlightError,
    ServerFound,
    ServerLost,
    fencing_number,
)
from anyflight.lease.valkey import ValkeyLease, ValkeyStore


class User: ...


class Pool: ...


async def fetch_user(pool: Pool, user_id: str) -> User:
    raise NotImplementedError


async def fetch_name(user_id: int) -> str:
    raise NotImplementedError


def blocking(user_id: str) -> User:
    raise NotImplementedError


class PickleCodec:
    """Any class with these methods is a codec."""

    def encode(self, value: User, /) -> bytes:
        return pickle.dumps(value)

    def decode(self, data: bytes, /) -> User:
        raise NotImplementedError


class Store:
    """Any class with these methods is a store."""

    async def check(self) -> None: ...

    async def listen(self, hear: Hear, live: Callable[[], None]) -> None:
        hear(Notice("key", "origin"))
        live()

    async def acquire(self, key: str, token: str, *, ttl: float, since: int) -> Acquired:
        raise NotImplementedError

    async def renew(self, key: str, token: str, *, ttl: float) -> bool:
        raise NotImplementedError

    async def commit(
        self, key: str, token: str, outcome: Outcome, *, keep: float, wanted: bool
    ) -> bool:
        raise NotImplementedError

    async def release(self, key: str, token: str) -> bool:
        raise NotImplementedError

    async def invalidate(self, key: str, origin: str) -> None: ...

    async def invalidate_all(self, origin: str) -> None: ...

    async def replace(self, key: str, origin: str, outcome: Outcome, *, keep: float) -> None: ...

    async def read(self, key: str) -> Outcome | None:
        raise NotImplementedError

    async def tag(self, key: str, tags: frozenset[str], *, keep: float) -> None: ...

    async def tagged(self, tag: str) -> list[str]:
        raise NotImplementedError

    def keys(self) -> AsyncGenerator[str, None]:
        raise NotImplementedError


class Metrics(LeaseInstrument):
    def lease_ended(self, event: LeaseEnded) -> None:
        assert_type(event.end, LeaseEnd)
        assert_type(event.epoch, int)

    def server_lost(self, event: ServerLost) -> None:
        assert_type(event.error, Exception)

    def server_found(self, event: ServerFound) -> None:
        assert_type(event.outage, float)


async def alone(pool: Pool) -> None:
    lease = Lease[str](MemoryStore(), ttl=10, codec=PickleCodec(), instruments=[Metrics()])
    async with lease as opened:
        assert_type(opened, Lease[str])
    assert_type(await lease.execute("42", fetch_user, pool, "42"), User)
    assert_type(await lease.execute("42", fetch_user, pool, "42", fresh=True), User)
    assert_type(await lease.invalidate("42"), None)
    assert_type(lease.statistics(), LeaseStatistics)
    assert_type(fencing_number(), int | None)
    by_number = Lease(MemoryStore(), encode_key=by_name)
    assert_type(by_number, Lease[int])
    assert_type(await by_number.execute(42, fetch_name, 42), str)


def by_name(user_id: int) -> str:
    return str(user_id)


async def wrong_arguments(lease: Lease[str], pool: Pool) -> None:
    await lease.execute(42, fetch_user, pool, "42")  # type: ignore[arg-type]
    await lease.execute("42", fetch_user, pool)  # type: ignore[arg-type]
    await lease.execute("42", fetch_user, pool, 42)  # type: ignore[arg-type]
    await lease.execute("42", fetch_name, "42")  # type: ignore[arg-type]
    await lease.execute("42", blocking, "42")  # type: ignore[arg-type]
    await lease.execute("42", fetch_user(pool, "42"))  # type: ignore[arg-type]
    await lease.execute("42", fetch_name, 42, timeout=1)  # type: ignore[call-arg]
    await lease.invalidate(42)  # type: ignore[arg-type]


def wrong_options() -> None:
    Lease[str]()  # type: ignore[call-arg]
    Lease[str](MemoryStore(), 10)  # type: ignore[call-arg]
    Lease[str](MemoryStore(), ttl="10")  # type: ignore[arg-type]
    Lease[str](MemoryStore(), on_lost="wait")  # type: ignore[arg-type]
    Lease[str](MemoryStore(), on_unreachable="wait")  # type: ignore[arg-type]
    Lease[str](MemoryStore(), codec=pickle)  # type: ignore[arg-type]
    Lease[str](MemoryStore(), encode_key=by_name)  # type: ignore[arg-type]
    Lease[str](MemoryStore(), instruments=[Metrics])  # type: ignore[list-item]
    Lease[str](coredis.Redis())  # type: ignore[arg-type]
    Lease[list[str]](MemoryStore())  # type: ignore[type-var]


async def on_a_server(pool: Pool) -> None:
    client = coredis.Redis(decode_responses=True)
    lease = ValkeyLease[str](client, namespace="users", ttl=5)
    async with client, lease as opened:
        assert_type(opened, ValkeyLease[str])
    assert_type(await lease.execute("42", fetch_user, pool, "42"), User)
    assert_type(ValkeyLease(client, namespace="users", encode_key=by_name), ValkeyLease[int])
    ValkeyLease[str](coredis.RedisCluster(), namespace="users")
    ValkeyLease[str](client)  # type: ignore[call-arg]
    ValkeyLease[str](client, "users")  # type: ignore[call-arg]
    ValkeyLease[str](MemoryStore(), namespace="users")  # type: ignore[arg-type]


async def across(lease: Lease[str], by_number: Lease[int], pool: Pool) -> None:
    users = Coalescer[str, User](across=lease)
    async with users as opened:
        assert_type(opened, Coalescer[str, User])
    assert_type(await users.execute("42", fetch_user, pool, "42"), User)
    names = Coalescer[int, str](across=by_number, retry_on=RemoteFlightError)
    assert_type(await names.execute(42, fetch_name, 42), str)
    ReadThroughCache[int, str](ttl=60, across=by_number)
    Coalescer[int, User](across=lease)  # type: ignore[arg-type]
    Coalescer[str, User](across=MemoryStore())  # type: ignore[arg-type]
    ReadThroughCache[int, str](ttl=60, across=lease)  # type: ignore[arg-type]


async def decorated(lease: Lease[int]) -> None:
    @coalesced(across=lease, key=by_id)
    async def fetch(user_id: int) -> str:
        raise NotImplementedError

    assert_type(await fetch(42), str)
    await fetch("42")  # type: ignore[arg-type]


def by_id(user_id: int) -> int:
    return user_id


def protocols(client: coredis.Redis[str], store: LeaseStore, codec: Codec[Any]) -> None:
    stores: list[LeaseStore] = [Store(), MemoryStore(), ValkeyStore(client, "users"), store]
    codecs: list[Codec[Any]] = [JSONCodec(), PickleCodec(), codec]
    Lease[str](stores[0], codec=codecs[0])
