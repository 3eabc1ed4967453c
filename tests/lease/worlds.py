"""The stores that the contract suite is run against, each with a clock that can be moved."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any, Protocol

import anyio
import coredis

from anyflight.lease import LeaseStore, MemoryStore, Notice
from anyflight.lease.valkey import ValkeyStore
from servers.valkey import ValkeyServer
from tests.support import HandClock

#: Lets time pass for one key: all that is known of it has been so for longer.
AGE = """
local passed, key = tonumber(ARGV[1]), KEYS[1]
if redis.call('TYPE', key).ok == 'zset' then
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    redis.call('ZINCRBY', key, -passed, member)
  end
else
  for _, field in ipairs({'u', 'a', 'x'}) do
    if redis.call('HEXISTS', key, field) == 1 then
      redis.call('HINCRBY', key, field, -passed)
    end
  end
end
local left = redis.call('PTTL', key)
if left < 0 then return redis.error_reply('it would stay for ever') end
redis.call('PEXPIRE', key, left - passed / 1000)
"""


class World(Protocol):
    """A store, and what can be done to its server."""

    store: LeaseStore

    def elapse(self, seconds: float) -> None:
        """Let time pass on the server."""

    def names(self) -> list[str]:
        """Return whatever the server keeps, of any key."""

    def lose_data(self) -> None:
        """Let the server forget everything, as it does when it is restarted."""


class MemoryWorld:
    def __init__(self, clock: HandClock) -> None:
        self._store = MemoryStore()
        self.store: LeaseStore = self._store
        self._clock = clock

    def elapse(self, seconds: float) -> None:
        self._clock.advance(seconds)

    def names(self) -> list[str]:
        now = self._clock.now
        for _ in range(len(self._store)):
            self._store._sweep(now)
        tags = self._store._tags.items()
        return [*self._store._states, *(tag for tag, keys in tags if max(keys.values()) > now)]

    def lose_data(self) -> None:
        self._store._states.clear()
        self._store._tags.clear()


class ValkeyWorld:
    """A namespace of its own on a server that others use."""

    def __init__(self, server: ValkeyServer, client: Any) -> None:
        self.namespace = f"test-{token_hex(6)}"
        self.store: LeaseStore = ValkeyStore(client, self.namespace)
        self.server = server
        self.client = client

    def elapse(self, seconds: float) -> None:
        for name in self.names():
            self.server.command("EVAL", AGE, 1, name, round(seconds * 1_000_000))

    def names(self) -> list[str]:
        names: list[str] = self.server.command("KEYS", f"anyflight*:{self.namespace}:*")
        return names

    def lose_data(self) -> None:
        for name in self.names():
            self.server.command("DEL", name)


@asynccontextmanager
async def cluster_client(server: ValkeyServer) -> AsyncGenerator[coredis.RedisCluster[bytes]]:
    """Open a client for a cluster."""
    client = coredis.RedisCluster(server.host, server.port)
    try:
        async with client:
            yield client
    finally:
        # coredis 6.9 leaves these open, of which anyio warns.
        for stream in client.connection_pool.cluster_layout._error_stream:
            stream.close()


class Ear:
    """Hears the messages of a store."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store
        #: A key of its own: a message about it is the end of what was published before it.
        self._end = f"end-{token_hex(6)}"
        self._heard: list[Notice] = []
        self._ended = anyio.Event()

    def hear(self, notice: Notice) -> None:
        if notice.key == self._end:
            self._ended.set()
        elif notice.key is None or not notice.key.startswith("end-"):
            self._heard.append(notice)

    async def heard(self) -> list[Notice]:
        """Return all that has been published since this was called last."""
        await self._store.invalidate(self._end, "me")
        await self._ended.wait()
        heard, self._heard, self._ended = self._heard, [], anyio.Event()
        return heard


@asynccontextmanager
async def listening(store: LeaseStore) -> AsyncGenerator[Ear]:
    """Subscribe for the length of the block."""
    ear, live = Ear(store), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.listen, ear.hear, live.set)
        await live.wait()
        yield ear
        tasks.cancel_scope.cancel()
