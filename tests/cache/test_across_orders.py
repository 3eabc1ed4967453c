"""`across` in many orders: each request, answer, message and query is held back as long as can be.

Two processes ask for a value; at any moment one of them writes, and invalidates what is kept.
Whatever is late, no call gets what is from before an invalidation that its process was told of
before, and in the end nobody has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import pytest
import trio.testing
from anyio.abc import TaskGroup

from anyflight.lease import MemoryStore, Notice
from proof.trio_schedule import seeded_schedule
from tests.cache.fleet import Member, change
from tests.lease.leasing import GatedStore

T = TypeVar("T")

WRITE = "two writes 1"
WAYS = ("invalidate", "invalidate_tag", "clear", "set")


class Steps:
    """Lets one step be made after the other, in the order of their coming.

    :param held: the step that is made when there is no other
    :param after: how many steps are made before the write
    """

    def __init__(self, held: str, after: int) -> None:
        self._held = held
        self._after = after
        self._pending: dict[str, Callable[[], object]] = {}
        self._counts = Counter[str]()
        self.made: list[str] = []

    def add(self, name: str, make: Callable[[], object]) -> None:
        self._counts[name] += 1
        self._pending[f"{name} {self._counts[name]}"] = make

    async def wait(self, name: str) -> None:
        event = anyio.Event()
        self.add(name, event.set)
        await event.wait()

    async def make_all(self) -> None:
        while True:
            await trio.testing.wait_all_tasks_blocked()
            if not self._pending:
                return
            name = min(self._pending, key=self._rank)
            self.made.append(name)
            self._pending.pop(name)()

    def _rank(self, name: str) -> int:
        return 2 if name == self._held else name == WRITE and len(self.made) < self._after


class Stepped(GatedStore):
    """The way to the store of one process, which takes one step there and one back."""

    def __init__(self, store: MemoryStore, steps: Steps, name: str) -> None:
        super().__init__(store)
        self._steps = steps
        self._name = name
        self._inbox: list[Notice] = []
        #: Whether it has been told of an invalidation by somebody else.
        self.told = False

    async def _ask(self, method: str, request: Callable[[], Awaitable[T]]) -> T:
        if method in {"check", "listen"}:
            return await request()
        await self._steps.wait(f"{self._name} asks {method}")
        answer = await request()
        await self._steps.wait(f"{self._name} is answered {method}")
        return answer

    def _pass_on(self, notice: Notice) -> None:
        self._inbox.append(notice)
        if len(self._inbox) == 1:
            self._steps.add(f"{self._name} hears", self._hear_next)

    def _hear_next(self) -> None:
        notice = self._inbox.pop(0)
        if self._inbox:
            self._steps.add(f"{self._name} hears", self._hear_next)
        self._hear(notice)
        self.told |= bool(notice.invalidated)


class Scene:
    """What happens, with some steps held."""

    def __init__(self, way: str, held: str, after: int) -> None:
        self.way = way
        self.steps = Steps(held, after)
        store = MemoryStore()
        lease = {"ttl": 1e6, "poll_interval": 1e6, "request_timeout": 1e6}
        self.ways = [Stepped(store, self.steps, name) for name in ("one", "two")]
        self.members = [Member(each, lease, ttl=1e6) for each in self.ways]
        self.database = "old"

    async def read(self, name: str) -> str:
        await self.steps.wait(f"{name} queries")
        found = self.database
        await self.steps.wait(f"{name} has read")
        return found

    async def get(self, number: int) -> None:
        way, member = self.ways[number], self.members[number]
        await self.steps.wait(f"{way._name} calls")
        told = way.told
        value = await member.cache.get("k", self.read, way._name, tags=["a"])
        assert value in {"old", "new"}
        assert value == "new" or not told

    async def change(self) -> None:
        await self.steps.wait("two writes")
        self.database = "new"
        await change(self.members[1], self.way, value="new")
        self.ways[1].told = True

    async def run(self) -> list[str]:
        async with self.members[0], self.members[1]:
            async with anyio.create_task_group() as tasks:
                self.start(tasks)
                await self.steps.make_all()
            async with anyio.create_task_group() as tasks:
                for number, way in enumerate(self.ways):
                    way.told = True  # or there was nothing to be told of
                    tasks.start_soon(self.get, number)
                await self.steps.make_all()
            assert {member.peek() for member in self.members} == {"new"}
            for member in self.members:
                member.assert_settled()
        return self.steps.made

    def start(self, tasks: TaskGroup) -> None:
        for number in (0, 1, 0):
            tasks.start_soon(self.get, number)
        tasks.start_soon(self.change)


def run(way: str, held: str = "", after: int = 0) -> list[str]:
    async def main() -> list[str]:
        return await Scene(way, held, after).run()

    try:
        with seeded_schedule(0):
            made: list[str] = trio.run(main)
    except BaseException as exc:
        exc.add_note(f"{held!r} was held, the write came after {after} steps")
        raise
    return made


@pytest.mark.parametrize("way", WAYS)
def test_whatever_is_late(way: str) -> None:
    for after in range(run(way, WRITE).index(WRITE)):
        for held in ["", *run(way, after=after)[after:]]:
            run(way, held, after)
