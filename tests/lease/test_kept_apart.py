"""What is not the same does not pass for the same: keys, kinds of outcomes, and processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

import anyio
import coredis
import pytest

from anyflight import Coalescer, ReadThroughCache
from anyflight.lease import Lease, MemoryStore, OutcomeKind
from anyflight.lease.valkey import ValkeyLease, ValkeyStore
from servers.valkey import ValkeyServer
from tests.lease.leasing import Process
from tests.support import Work, settle

pytestmark = pytest.mark.anyio


class Raw:
    """A codec to which anything is a value."""

    def encode(self, value: bytes, /) -> bytes:
        return value

    def decode(self, data: bytes, /) -> bytes:
        return data


class Color(str, Enum):  # noqa: UP042 - unlike a StrEnum, str() makes something else of it
    RED = "red"


async def at_once(value: Any = 1) -> Any:
    return value


class TestCachesAndCalls:
    """A cache and calls of `execute`, by mistake in one namespace."""

    @pytest.mark.parametrize("first", ["cache", "call"])
    async def test_what_the_one_has_stored_is_no_value_for_the_other(self, first: str) -> None:
        memory, work = MemoryStore(), Work()
        one, two = Process(memory, codec=Raw()), Process(memory, codec=Raw())
        async with one, two, ReadThroughCache[str, bytes](ttl=60, across=two.lease) as cache:

            async def get(func: Callable[..., Awaitable[Any]], value: bytes) -> bytes:
                return await cache.get("k", func, value)

            async def call(func: Callable[..., Awaitable[Any]], value: bytes) -> Any:
                return await one.lease.execute("k", func, value)

            ways = [get, call] if first == "cache" else [call, get]
            found: list[bytes] = []

            async def keep(way: Any, func: Any, value: bytes) -> None:
                found.append(await way(func, value))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keep, ways[0], work, b"first")
                await settle()
                tasks.start_soon(keep, ways[1], at_once, b"second")
                await settle()
                work.go.set()
            assert found == [b"first", b"second"]

    async def test_nor_is_what_was_stored_before(self) -> None:
        memory = MemoryStore()
        one, two = Process(memory, codec=Raw()), Process(memory, codec=Raw())
        async with one, two, ReadThroughCache[str, bytes](ttl=60, across=one.lease) as cache:
            await cache.set("k", b"value")
            assert await two.lease.execute("k", at_once, b"called") == b"called"
            outcome = await memory.read("k")
            assert outcome is not None
            assert outcome.kind is OutcomeKind.STORED


class TestKeys:
    @pytest.mark.parametrize("options", [{}, {"encode_key": repr}])
    async def test_what_names_a_call_in_this_process_is_no_key_in_all(self, options: Any) -> None:
        process = Process(MemoryStore(), **options)

        flights = Coalescer[Any, Any](across=process.lease)

        @flights.coalesced
        async def fetch(first: int, second: int) -> int:
            raise NotImplementedError

        async with process, flights:
            with pytest.raises(TypeError, match=r"^fetch\(1, 2\) names a call in this process"):
                await fetch(1, 2)
            assert flights.statistics().flights == 0

    async def test_one_that_equals_a_string_is_that_string_everywhere(self) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        one, two = Process(memory), Process(memory)
        async with one, two, anyio.create_task_group() as tasks:
            first = await one.start(tasks, Color.RED, old, "old")
            second = await two.start(tasks, "red", new, "second")
            await two.lease.invalidate(Color.RED)
            await settle()
            third = await one.start(tasks, "red", new, "third")
            new.go.set()
            await settle()
            assert second.value == third.value
            assert second.value in {"second", "third"}
            old.go.set()
            await settle()
            assert first.value == "old"

    async def test_so_it_is_on_a_server(self, server: ValkeyServer, namespace: str) -> None:
        client = coredis.Redis(host=server.host, port=server.port)
        async with client, ValkeyLease[str](client, namespace=namespace) as lease:
            assert lease.core.naming.name_of(Color.RED) == "red"
            assert type(lease.core.naming.name_of(Color.RED)) is str

    async def test_bad_ones_are_refused_before_a_flight_begins(self) -> None:
        process = Process(MemoryStore())
        async with process, Coalescer[Any, Any](across=process.lease) as flights:
            with pytest.raises(TypeError, match="a key must be a string, not 5"):
                await flights.execute(5, at_once)
            with pytest.raises(ValueError, match="UTF-8 has no bytes for key"):
                await flights.execute("\ud800", at_once)
            assert flights.statistics().flights == 0
        assert process.counts.calls == 0


async def test_an_outcome_of_a_kind_that_a_later_version_has_is_of_no_use(
    server: ValkeyServer, namespace: str
) -> None:
    client = coredis.Redis(host=server.host, port=server.port)
    async with client:
        store = ValkeyStore(client, namespace)
        fields = {"e": "7", "l": "7", "k": "later", "b": "?", "a": "1", "x": "9000000000000000"}
        await client.hset(f"anyflight:{namespace}:k", fields)
        outcome = await store.read("k")
        assert outcome is not None
        assert outcome.kind is OutcomeKind.UNSHARED
        await store.invalidate("k", "me")


async def test_each_opening_hears_what_another_has_invalidated() -> None:
    """As after a fork: a lease that was made before is opened in each process."""
    lease = Lease[str](MemoryStore())
    origins = set[str]()
    for _ in range(2):
        async with lease:
            origins.add(lease.core._hearing.origin)
    assert len(origins - {""}) == 2


class TestTypes:
    def test_a_class_is_no_store_and_no_codec(self) -> None:
        with pytest.raises(TypeError, match=r"^store must be of type .*: write MemoryStore\("):
            Lease[str](MemoryStore)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"^codec must be of type .*: write Raw\("):
            Lease[str](MemoryStore(), codec=Raw)  # type: ignore[arg-type]

    async def test_what_an_encoder_returns_must_be_bytes(self) -> None:
        class Listing(Raw):
            def encode(self, value: Any, /) -> Any:
                return [1, 2]

        process = Process(MemoryStore(), codec=Listing())
        async with process:
            assert await process.lease.execute("k", at_once) == 1
        assert process.counts.refused == 1
