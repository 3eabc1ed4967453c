"""Random programs of several processes, in virtual time: none is served what it must not be.

Each write is followed by an invalidation, and each value says which write it is from. So of every
call it can be said which values it may get: none that is older than its windows allow, and none
from before an invalidation of which its process has been told when the call is made.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from functools import partial
from random import Random
from typing import Any, TypeVar

import anyio
import pytest
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from trio.testing import MockClock

from anyflight import BatchLoader
from anyflight.lease import (
    Hear,
    LeaseUnavailableError,
    MemoryStore,
    Notice,
    Outcome,
    RemoteFlightError,
)
from proof.lease.luck import luck
from proof.trio_schedule import seeded_schedule
from tests.cache.fleet import Member
from tests.lease.leasing import GatedStore

T = TypeVar("T")
Versions = dict[int, int]

PROCESSES, CLIENTS, LONG = 3, 3, 25.0
#: Keys that anybody writes, and one that a single client sets: of several that set, the last to
#: come to the server would count, which need not be the last to have written.
WRITTEN, SET = (1, 2), 3
KEYS = (*WRITTEN, SET)
TTL, WHILE_REVALIDATE, IF_ERROR = 4.0, 2.0, 5.0
SLOWEST_WORK, SLOWEST_WAY = 1.0, 0.2
#: The end of slow work, and six requests that take as long as they may.
UNDER_WAY = 2 * 2 + 6 * 1.0
OLDEST = TTL + max(WHILE_REVALIDATE, IF_ERROR) + UNDER_WAY

#: What was written when the invalidation was called for that is being made.
written: ContextVar[Versions] = ContextVar("written")


class Way(GatedStore):
    """The way of one process to the server: it takes time, and may be cut."""

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world.store)
        self.world = world
        self.number = number
        self._inbox: MemoryObjectSendStream[tuple[Notice, Versions]] | None = None
        self._lost = anyio.Event()

    async def listen(self, hear: Hear, live: Callable[[], None]) -> None:
        await self._ask("listen", checkpoint)
        self._lost = anyio.Event()
        self._inbox, outbox = anyio.create_memory_object_stream[tuple[Notice, Versions]](math.inf)

        def at_once() -> None:
            live()  # and all is forgotten
            self.world.tell(self.number, self.world.invalidated)

        async with anyio.create_task_group() as tasks, self._inbox, outbox:
            tasks.start_soon(self._deliver, outbox, hear)
            tasks.start_soon(self.store.listen, self._send, at_once)
            await self._lost.wait()
            tasks.cancel_scope.cancel()
        raise ConnectionError("cut")

    def _send(self, notice: Notice) -> None:
        if self._inbox is not None:
            self._inbox.send_nowait((notice, written.get({})))

    async def _deliver(
        self, outbox: MemoryObjectReceiveStream[tuple[Notice, Versions]], hear: Hear
    ) -> None:
        async for notice, versions in outbox:
            await self.world.take(SLOWEST_WAY)
            hear(notice)
            if notice.invalidated:
                keys = KEYS if notice.key is None else [int(notice.key)]
                self.world.tell(self.number, {key: versions[key] for key in keys})

    async def lose_messages(self) -> None:
        """Lose what is sent from now on, and notice it after a while."""
        self._inbox = None
        try:
            await anyio.sleep(self.world.random.uniform(0, 2))
        finally:
            self._lost.set()

    async def invalidate(self, key: str, origin: str) -> None:
        async def obey() -> None:
            await self.store.invalidate(key, origin)
            self.world.has_invalidated(int(key))

        await self._ask("invalidate", obey)

    async def invalidate_all(self, origin: str) -> None:
        async def obey() -> None:
            await self.store.invalidate_all(origin)
            self.world.has_invalidated(*KEYS)

        await self._ask("invalidate_all", obey)

    async def replace(self, key: str, origin: str, outcome: Outcome, *, keep: float) -> None:
        async def obey() -> None:
            await self.store.replace(key, origin, outcome, keep=keep)
            self.world.has_invalidated(int(key))

        await self._ask("replace", obey)

    async def _ask(self, method: str, request: Callable[[], Awaitable[T]]) -> T:
        for direction in ("there", "back"):
            await self.world.take(SLOWEST_WAY)
            if self.world.faulty(0.03):
                raise ConnectionError(f"lost on the way {direction}")
            if direction == "there":
                answer = await request()
        return answer


class World:
    """The database, the processes, and what each of them has been told."""

    def __init__(self, seed: int, *, faults: bool) -> None:
        self.random = Random(seed)
        self.faults = faults
        self.store = MemoryStore()
        self.database: Versions = dict.fromkeys(KEYS, 0)
        #: When each version was overwritten.
        self.ended: dict[tuple[int, int], float] = {}
        #: What was written when the last invalidation was called for that the server has made.
        self.invalidated: Versions = dict.fromkeys(KEYS, 0)
        #: The same of the last one that each process has been told of.
        self.told: list[Versions] = [dict.fromkeys(KEYS, 0) for _ in range(PROCESSES)]
        self.served = 0
        lease = {"ttl": 3, "poll_interval": 1, "retry_interval": 0.5, "encode_key": str}
        options: dict[str, Any] = {
            "ttl": TTL,
            "ttl_jitter": 0.3,
            "stale_while_revalidate": self.random.choice([0, WHILE_REVALIDATE]),
            "stale_if_error": self.random.choice([0, IF_ERROR]),
            "refresh_ahead": self.random.choice([0, 1]),
            "max_entries": self.random.choice([2, 10]),
        }
        self.members = [Member(Way(self, n), lease, **options) for n in range(PROCESSES)]
        self.loaders = [BatchLoader[int, int](self.read_many) for _ in range(PROCESSES)]

    def faulty(self, share: float) -> bool:
        return self.faults and self.random.random() < share

    async def take(self, longest: float) -> None:
        """Take some time; now and then, more than a request may take."""
        await anyio.sleep(2 if self.faulty(0.02) else self.random.uniform(0, longest))

    def has_invalidated(self, *keys: int) -> None:
        for key in keys:
            self.invalidated[key] = max(self.invalidated[key], written.get()[key])

    def tell(self, number: int, versions: Versions) -> None:
        told = self.told[number]
        for key, version in versions.items():
            told[key] = max(told[key], version)

    async def read(self, key: int) -> int:
        await self.take(SLOWEST_WORK)
        version = self.database[key]
        await self.take(SLOWEST_WORK)
        if self.random.random() < 0.1:
            raise OSError("the database is down")
        return version

    async def read_many(self, keys: list[int]) -> dict[int, int]:
        return {key: await self.read(key) for key in keys}

    async def write(self, number: int, key: int, way: str) -> None:
        """Write to the database, and let all know."""
        cache = self.members[number].cache
        self.ended[key, self.database[key]] = anyio.current_time()
        self.database[key] += 1
        before = self.database.copy()
        written.set(before)
        try:
            match way:
                case "set":
                    await cache.set(key, before[key], tags=["all"])
                case "invalidate":
                    await cache.invalidate(key)
                case "invalidate tag":
                    await cache.invalidate_tag("all")
                case _:
                    await cache.clear()
        except LeaseUnavailableError:
            assert self.faults
        else:
            self.tell(number, {key: before[key]} if way in {"set", "invalidate"} else before)

    async def get(self, number: int, keys: list[int], *, fresh: bool) -> None:
        """Make a call, perhaps leave before it ends, and check what it brings."""
        member, loader = self.members[number], self.loaders[number]
        floor = (self.database if fresh else self.told[number]).copy()
        began = anyio.current_time()
        leaves = self.random.random() < 0.1
        with anyio.move_on_after(self.random.random() if leaves else math.inf):
            try:
                if len(keys) > 1:
                    call = member.cache.get_many(keys, loader, fresh=fresh, tags=["all"])
                    found = await call
                else:
                    (key,) = keys
                    call = member.cache.get(key, self.read, key, fresh=fresh, tags=["all"])
                    found = {key: await call}
            except (OSError, RemoteFlightError):
                return
            for key, version in found.items():
                self.check(key, version, floor[key], began)

    def check(self, key: int, version: int, floor: int, began: float) -> None:
        self.served += 1
        assert floor <= version <= self.database[key]
        assert began - self.ended.get((key, version), math.inf) <= OLDEST

    async def be_client(self, number: int, *, sets: bool) -> None:
        draw = self.random.random
        while anyio.current_time() < LONG:
            await anyio.sleep(0.6 * draw())
            key = self.random.choice(KEYS)
            what = draw()
            if what < 0.12:
                ways = ["set", "invalidate"] if sets else ["invalidate"] * 5 + ["tag", "clear"]
                key = SET if sets else self.random.choice(WRITTEN)
                await self.write(number, key, self.random.choice(ways))
            elif what < 0.3:
                version = self.members[number].cache.peek(key)
                if version is not None:
                    self.check(key, version, self.told[number][key], anyio.current_time())
            else:
                keys = list(KEYS) if what < 0.4 else [key]
                await self.get(number, keys, fresh=draw() < 0.1)

    async def be_cut_now_and_then(self, number: int) -> None:
        way = self.members[number].store
        assert isinstance(way, Way)
        while True:
            await anyio.sleep(self.random.uniform(3, 9))
            await way.lose_messages()

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            for each in (*self.members, *self.loaders):
                await stack.enter_async_context(each)
            async with anyio.create_task_group() as faults:
                if self.faults:
                    for number in range(PROCESSES):
                        faults.start_soon(self.be_cut_now_and_then, number)
                async with anyio.create_task_group() as clients:
                    for number in range(PROCESSES * CLIENTS):
                        be_client = partial(self.be_client, sets=not number)
                        clients.start_soon(be_client, number % PROCESSES)
                faults.cancel_scope.cancel()
            self.faults = False
            await anyio.sleep(10)  # whatever was lost is had again, and what was sent has come
            for told in self.told:
                assert all(told[key] >= self.invalidated[key] for key in KEYS)
            for number in range(PROCESSES):
                await self.get(number, [*KEYS], fresh=False)
            await anyio.sleep(10)  # these may have had something refreshed
            for member in self.members:
                member.assert_settled()


@pytest.mark.parametrize("faults", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_no_call_gets_what_is_too_old_or_from_before_what_its_process_was_told(
    monkeypatch: pytest.MonkeyPatch, seed: int, faults: bool
) -> None:
    async def run() -> None:
        world = World(seed, faults=faults)
        await world.run()
        assert world.served > 100

    monkeypatch.setattr("anyflight.cache._first_tier.Random", partial(Random, seed))
    with luck(seed), seeded_schedule(seed):
        anyio.run(run, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})
