"""A process that takes part in a lease and does what its test says, step by step.

It hears and says, each with the facts in brackets:

    heard                              said
                                       ready, once it has subscribed or given that up for now
    call (call, key, through, ...)     then, in the order in which they happen to the call:
                                         asked (call, answer), each time the server has answered
                                         began (call, epoch), the work runs here
                                         returned (call, value) | raised (call, type, message)
                                         | cancelled (call)
    finish (call, value | error,       nothing: it ends the work, which waits for it, after
            blocked_until)             blocking the event loop until there is a file of that name
    cancel (call)                      nothing
    invalidate (key)                   invalidated (key)
    count                              counted (and the statistics)
    leave                              left (and the statistics), when the lease is closed
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import coredis
from anyio.abc import TaskGroup

from anyflight import Coalescer
from anyflight.lease import Acquired, Lease, fencing_number
from anyflight.lease.valkey import ValkeyStore
from tests.lease.nursery import Conversation

_calling: ContextVar[str] = ContextVar("calling")
"""The call whose request it is."""

UNENCODABLE = "unencodable"
"""As a value: an object that JSON has no form for, instead of this string."""


class TellingStore(ValkeyStore):
    """The store, telling the test of each answer to a request for a lease."""

    def __init__(self, conversation: Conversation, client: Any, namespace: str) -> None:
        super().__init__(client, namespace)
        self._conversation = conversation

    async def acquire(
        self, key: str, token: str, *, ttl: float, since: int, waited: bool = True
    ) -> Acquired:
        answer = await super().acquire(key, token, ttl=ttl, since=since, waited=waited)
        kind = type(answer).__name__.lower()
        await self._conversation.say("asked", call=_calling.get(), answer=kind)
        return answer


class Call:
    """One call of the test's, and how its work is to end."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.may_finish = anyio.Event()
        self._value: Any = None
        self._error: str | None = None
        self._blocked_until: Path | None = None

    def finish(
        self, *, value: Any = None, error: str | None = None, blocked_until: str | None = None
    ) -> None:
        self._value, self._error = value, error
        self._blocked_until = None if blocked_until is None else Path(blocked_until)
        self.may_finish.set()

    async def work(self) -> Any:
        await self.may_finish.wait()
        while self._blocked_until is not None and not self._blocked_until.exists():
            time.sleep(0.001)
        if self._error is not None:
            raise RuntimeError(self._error)
        return object() if self._value == UNENCODABLE else self._value


class Participant:
    """Obeys the test."""

    def __init__(
        self,
        conversation: Conversation,
        lease: Lease[str],
        coalescer: Coalescer[str, Any],
        task_group: TaskGroup,
    ) -> None:
        self._conversation = conversation
        self._lease = lease
        self._coalescer = coalescer
        self._task_group = task_group
        self._calls: dict[str, Call] = {}

    async def obey(self) -> None:
        """Do what the test says, until it says to leave."""
        while True:
            match await self._conversation.hear():
                case {"kind": "call", "call": name, "key": key, "through": through, **options}:
                    self._calls[name] = Call()
                    doors = {"lease": self._lease.execute, "coalescer": self._coalescer.execute}
                    execute = partial(doors[through], key, **options)
                    self._task_group.start_soon(self._call, name, execute)
                case {"kind": "finish", "call": name, **how}:
                    self._calls[name].finish(**how)
                case {"kind": "cancel", "call": name}:
                    self._calls[name].scope.cancel()
                case {"kind": "invalidate", "key": key}:
                    self._task_group.start_soon(self._invalidate, key)
                case {"kind": "count"}:
                    await self._conversation.say("counted", **asdict(self._lease.statistics()))
                case {"kind": "leave"}:
                    return
                case message:
                    raise ValueError(f"not understood: {message}")

    async def _call(self, name: str, execute: Callable[..., Awaitable[Any]]) -> None:
        call, say = self._calls[name], self._conversation.say
        _calling.set(name)

        async def work() -> Any:
            await say("began", call=name, epoch=fencing_number())
            return await call.work()

        with call.scope:
            try:
                value = await execute(work)
            except Exception as exc:
                await say("raised", call=name, type=type(exc).__name__, message=str(exc))
            else:
                await say("returned", call=name, value=_sayable(value))
            return
        await say("cancelled", call=name)

    async def _invalidate(self, key: str) -> None:
        await self._lease.invalidate(key)
        await self._conversation.say("invalidated", key=key)


def _sayable(value: Any) -> Any:
    """Return what tells the test which value it was."""
    return UNENCODABLE if type(value) is object else value


@asynccontextmanager
async def opened_client(host: str, port: int, *, mode: str, **options: Any) -> AsyncGenerator[Any]:
    """Open a client as a user of the lease would."""
    kind = coredis.RedisCluster if mode == "cluster" else coredis.Redis
    async with kind(host=host, port=port, **options) as client:
        yield client


async def take_part(
    conversation: Conversation,
    *,
    host: str,
    port: int,
    namespace: str,
    mode: str = "alone",
    password: str | None = None,
    max_idle_time: int | None = None,
    **options: Any,
) -> None:
    """Take part until the test says to leave."""
    of_client = {} if max_idle_time is None else {"max_idle_time": max_idle_time}
    async with opened_client(host, port, mode=mode, password=password, **of_client) as client:
        # As `ValkeyLease` is one, but for what its store tells.
        lease = Lease[str](TellingStore(conversation, client, namespace), **options)
        coalescer = Coalescer[str, Any](across=lease)
        async with lease, coalescer, anyio.create_task_group() as task_group:
            await conversation.say("ready")
            await Participant(conversation, lease, coalescer, task_group).obey()
    await conversation.say("left", **asdict(lease.statistics()))
