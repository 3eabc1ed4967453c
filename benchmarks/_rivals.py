"""The rivals, each behind the same door, and the check that says which of them are cancel-safe.

Each is used as its documentation says. Those that are caches remember results: each measurement
gets a new one without a limit on its size, and keys that it has not seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import anyio
from aiocache import cached_stampede  # type: ignore[import-untyped]
from async_lru import alru_cache
from cacheflight import CacheFlight
from cashews import Cache
from coalescer import Coalescer as OtherCoalescer
from oneflight import async_singleflight

from anyflight import Coalescer
from benchmarks._backends import EVERYWHERE, ON_ASYNCIO
from benchmarks._crowd import Call, all_wait, crowd_of

Work = Callable[[str], Coroutine[Any, Any, Any]]
"""The work to be shared; its one argument is its key."""


@asynccontextmanager
async def open_anyflight(work: Work) -> AsyncGenerator[Call, None]:
    """Open a coalescer; yield its call."""
    async with Coalescer[str, Any]() as coalescer:
        yield lambda key: coalescer.execute(key, work, key)


@asynccontextmanager
async def _async_lru(work: Work) -> AsyncGenerator[Call, None]:
    yield alru_cache(maxsize=None)(work)


@asynccontextmanager
async def _cacheflight(work: Work) -> AsyncGenerator[Call, None]:
    flights = CacheFlight()
    yield lambda key: flights.run(key, lambda: work(key))


@asynccontextmanager
async def _coalescer(work: Work) -> AsyncGenerator[Call, None]:
    group = OtherCoalescer()
    yield lambda key: group.do(key, work, key)


@asynccontextmanager
async def _cashews(work: Work) -> AsyncGenerator[Call, None]:
    cache = Cache()
    cache.setup("mem://", size=10**7)
    await cache.init()
    yield cache(ttl=3600, key="{key}")(work)
    await cache.close()


@asynccontextmanager
async def _aiocache(work: Work) -> AsyncGenerator[Call, None]:
    # The lease is how long its joiners wait: it must outlast the measurement.
    yield cached_stampede(lease=3600, key_builder=lambda _, key: key)(work)


@asynccontextmanager
async def _oneflight(work: Work) -> AsyncGenerator[Call, None]:
    yield async_singleflight(work)


@asynccontextmanager
async def _anyio_lru_cache(work: Work) -> AsyncGenerator[Call, None]:
    from anyio.functools import lru_cache  # noqa: PLC0415 - not in every version of anyio

    yield lru_cache(maxsize=None)(work)


@asynccontextmanager
async def _dict_of_futures(work: Work) -> AsyncGenerator[Call, None]:
    futures: dict[str, asyncio.Future[Any]] = {}

    async def call(key: str) -> Any:
        if key in futures:
            return await futures[key]
        future = futures[key] = asyncio.get_running_loop().create_future()
        try:
            value = await work(key)
            if not future.done():
                future.set_result(value)
        except BaseException as error:
            if not future.done():
                future.set_exception(error)
                future.exception()  # or asyncio would log it where nobody joined
            raise
        finally:
            del futures[key]
        return value

    yield call


@asynccontextmanager
async def _raw(work: Work) -> AsyncGenerator[Call, None]:
    yield work


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Something that a user could take instead; and anyflight itself.

    :ivar open: opens it for a work; what that yields is called with a key
    :ivar start: why starting a flight is cheaper than with anyflight, where it is
    :ivar join: why joining one is
    :ivar package: the distribution that it comes from, "" if it is written here
    :ivar backends: where it runs
    :ivar coalesces: whether it shares executions at all
    """

    name: str
    open: Callable[[Work], AbstractAsyncContextManager[Call]]
    start: str = ""
    join: str = ""
    package: str = ""
    backends: frozenset[str] = ON_ASYNCIO
    coalesces: bool = True


BARE_TASK = (
    "the leader is a bare task of asyncio, which is made and woken in C; no task group owns it, no "
    "cancel scope bounds it, nothing waits for its end"
)
FUTURE = "joiners wait on a future of asyncio, which is written in C"
CALLERS_TASK = "the work runs in the first caller's task, so none is started"
SHARED = "joiners await one shared object, so that cancelling any of them cancels it"

OURS = Rival(name="anyflight", open=open_anyflight, package="anyflight", backends=EVERYWHERE)
RIVALS = (
    OURS,
    Rival(name="async-lru", open=_async_lru, start=BARE_TASK, join=FUTURE, package="async-lru"),
    Rival(
        name="cacheflight", open=_cacheflight, start=BARE_TASK, join=FUTURE, package="cacheflight"
    ),
    Rival(name="coalescer", open=_coalescer, start=BARE_TASK, join=FUTURE, package="coalescer"),
    Rival(name="cashews", open=_cashews, start=BARE_TASK, join=SHARED, package="cashews"),
    Rival(
        name="aiocache",
        open=_aiocache,
        start=CALLERS_TASK,
        join="joiners wait for a lock, and are not counted",
        package="aiocache",
    ),
    Rival(
        name="oneflight",
        open=_oneflight,
        start=CALLERS_TASK,
        join="joiners are not counted, so nobody knows when all have left",
        package="oneflight",
    ),
    Rival(
        name="anyio lru_cache",
        open=_anyio_lru_cache,
        start=CALLERS_TASK,
        join="joiners wait for a lock, and are not counted",
        package="anyio",
        backends=EVERYWHERE if find_spec("anyio.functools") else frozenset(),
    ),
    Rival(name="dict of futures", open=_dict_of_futures, start=CALLERS_TASK, join=SHARED),
    Rival(
        name="raw call",
        open=_raw,
        start="nothing is shared: each caller runs the work itself",
        join="nothing is shared: each caller runs the work itself",
        backends=EVERYWHERE,
        coalesces=False,
    ),
)


def rivals_on(backend: str) -> tuple[Rival, ...]:
    """Return those that run on a back end; anyflight is the first."""
    return tuple(rival for rival in RIVALS if backend in rival.backends)


CALLERS = 200
PATIENCE = 1.0
"""Seconds after which callers that still wait count as hanging."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a rival is cancel-safe; what was seen if it is not."""

    safe: bool
    finding: str


class Observed:
    """Work that waits for a gate, and what became of it and of its callers."""

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.executions = 0
        self.stopped = 0
        self.values: list[object] = []
        self.cancelled = 0
        self.failed = 0

    async def caller(self, call: Call, key: str) -> None:
        """Make one call, and keep how it ended."""
        try:
            self.values.append(await call(key))
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        except Exception:  # noqa: BLE001 - whatever a rival raises
            self.failed += 1

    def work(self) -> Work:
        """Return the work: a function, for some rivals look at its signature."""

        async def work(key: str) -> str:
            self.executions += 1
            try:
                await self.gate.wait()
            except anyio.get_cancelled_exc_class():
                self.stopped += 1
                raise
            return key

        return work


async def check_cancel_safety(rival: Rival, backend: str) -> Verdict:
    """Find out whether cancelling some callers harms others, and whether work is left behind.

    A rival is cancel-safe if, when the first of 200 callers is cancelled, the other 199 get the
    result of one execution, and if work is stopped when all its callers were cancelled.
    """
    if not rival.coalesces:
        return Verdict(safe=False, finding="shares nothing")
    finding = await _first_is_cancelled(rival, backend) or await _all_are_cancelled(rival, backend)
    return Verdict(safe=not finding, finding=finding)


async def _first_is_cancelled(rival: Rival, backend: str) -> str:
    seen = Observed()
    async with rival.open(seen.work()) as call:
        with anyio.move_on_after(PATIENCE) as guard:
            async with crowd_of(backend) as crowd:
                cancel_first = crowd.start_cancellable(seen.caller, call, "key")
                await all_wait()
                for _ in range(CALLERS - 1):
                    crowd.start(seen.caller, call, "key")
                await all_wait()
                cancel_first()
                await all_wait()
                seen.gate.set()
        others = CALLERS - 1
        if guard.cancelled_caught:
            return f"{others - len(seen.values) - seen.failed} of {others} hang"
        if seen.failed:
            return f"{seen.failed} of {others} get an error"
        if len(seen.values) != others:
            return f"{others - len(seen.values)} of {others} are cancelled"
        return "" if seen.executions == 1 else f"{seen.executions} executions"


async def _all_are_cancelled(rival: Rival, backend: str) -> str:
    seen = Observed()
    async with rival.open(seen.work()) as call:
        with anyio.move_on_after(PATIENCE):
            async with crowd_of(backend) as crowd:
                cancels = [crowd.start_cancellable(seen.caller, call, "key") for _ in range(3)]
                await all_wait()
                for cancel in cancels:
                    cancel()
        await all_wait()
        stopped = seen.stopped == seen.executions > 0
        seen.gate.set()
        await all_wait()
    return "" if stopped else "work that everybody left runs on"
