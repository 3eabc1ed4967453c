"""Runs a program of a cache."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from random import Random
from typing import Any

from anyflight import BatchLoader, CacheStatistics, MissingKeyError, ReadThroughCache
from proof.cache_history import Fetch, KeptError
from proof.cache_invariants import faults_within, left_of_flights
from proof.cache_plans import TAGS, CacheProgram, Fetching, Shelving, Use
from proof.cache_store import Shelf
from proof.history import FOREVER, CallRecord, History, Result, WorkError, copied
from proof.setting import NAME, Setting
from proof.stage import Stage, caller

ERROR_TTL: dict[str, type[Exception]] = {"kept": KeptError, "missing": MissingKeyError}


class Opened:
    """The cache and the loader that it needs, as one thing that has flights: those of the cache."""

    def __init__(
        self, cache: ReadThroughCache[str, Result], loader: BatchLoader[str, Result], draws: int
    ) -> None:
        self._cache = cache
        self._loader = loader
        self._draws = draws
        self._open: AbstractAsyncContextManager[None]
        self.flights = cache._flights.flights
        self.statistics = cache._flights.statistics

    async def __aenter__(self) -> None:
        """Open both, and decide what is going to be drawn at random."""
        self._open = self._both()
        await self._open.__aenter__()

    async def __aexit__(self, *error: object) -> bool | None:
        """Close both, the cache first."""
        return await self._open.__aexit__(*error)  # type: ignore[arg-type]

    @asynccontextmanager
    async def _both(self) -> AsyncGenerator[None]:
        async with self._loader, self._cache:
            self._cache._first._random = Random(self._draws)
            yield


class CacheSetting(Setting):
    """The cache of a program, its store, and the loader of `get_many`."""

    def __init__(self, program: CacheProgram, clock: Callable[[], float], load_batch: Any) -> None:
        options = self.options = program.options
        super().__init__(tokens=None, listens=options.listens)
        self._load_batch = load_batch
        self._again: Result | None = None
        self.shelf: Shelf | None = None
        if options.store is not None:
            self.shelf = Shelf(options.store, clock)
        self.loader = BatchLoader[str, Result](self._load, name="beside it")
        self.cache = ReadThroughCache[str, Result](
            ttl=options.ttl,
            ttl_jitter=options.ttl_jitter,
            stale_while_revalidate=options.stale_while_revalidate,
            stale_if_error=options.stale_if_error,
            refresh_ahead=options.refresh_ahead,
            error_ttl={
                kind: seconds
                for name, kind in ERROR_TTL.items()
                if (seconds := getattr(options, name)) is not None
            },
            max_entries=options.max_entries,
            store=self.shelf,
            on_abandon=options.on_abandon,
            retry_on=WorkError if options.retries else (),
            flight_timeout=options.flight_timeout,
            copy=copied if options.copies else None,
            context=options.context,
            name=NAME,
            instruments=self.ears,
        )
        self.subjects = (Opened(self.cache, self.loader, program.draws),)

    async def _load(self, keys: list[str]) -> Any:
        return await self._load_batch(keys)

    def statistics(self) -> CacheStatistics:
        """Return those of the cache."""
        return self.cache.statistics()

    def unattended(self) -> int:
        """Return of how many waiters nobody knows: each flight in the background counts one."""
        return self.cache.statistics().refreshes

    async def once_more(self, key: str, again: Result) -> Result:
        """Get a value of an empty cache."""

        async def work() -> Result:
            return again

        if self.shelf is not None:
            self.shelf.plan = Shelving()
            self.shelf.kept.clear()
        async with self.subjects[0]:
            value = await self.cache.get(key, work)
        return again if value.source is again.source else value

    def look_at_bounds(self, history: History[Any]) -> None:
        """Check the memory."""
        if len(self.cache._memory) > self.options.max_entries:
            history.remark(24, f"{len(self.cache._memory)} entries are too many")
        for each in faults_within(self.cache):
            history.remark(16, each)
        if self._rests(history):
            for each in left_of_flights(self.cache):
                history.remark(16, each)

    def _rests(self, history: History[Any]) -> bool:
        """Whether nothing goes on, and nothing may that nobody sees: work that has expired."""
        return (
            history.leaving is FOREVER
            and history.leader_cancelled is FOREVER
            and self.options.flight_timeout is None
            and not self.subjects[0].flights()
            and not any(call.waits for call in history.calls)
            and not any(one.running_now for one in history.executions)
        )

    def look_at_what_is_left(self, history: History[Any]) -> None:
        """Check that nothing is left of flights, nor in memory."""
        super().look_at_what_is_left(history)
        if len(self.cache._memory) or len(self.cache._first.generations):
            history.remark(16, f"the closed cache keeps {self.cache._memory.entries}")
        if self.loader.flights():
            history.remark(16, f"flights of the loader are left: {self.loader.flights()}")
        if not any(call.waits for call in history.calls):
            for each in left_of_flights(self.cache):
                history.remark(16, each)


class CacheWorld(Stage[Fetch]):
    """A cache, and the program that uses it."""

    def __init__(self, program: CacheProgram) -> None:
        self._opened = CacheSetting(program, self._time, self._load_batch)
        super().__init__(program, self._opened)
        self._cache = self._opened.cache

    def _time(self) -> float:
        return self.history.clock()  # which is known when the program is played

    async def _ask(self, record: CallRecord) -> Any:  # noqa: PLR0911 - one for each method
        plan: Use = record.plan
        key, cache = plan.keys[0] if plan.keys else "", self._cache
        # One of many keys may get a tag that it needs not.
        tags = sorted({tag for each in plan.keys for tag in TAGS[each]})
        match plan.do:
            case "get":
                return await cache.get(key, self._fetch, record, fresh=plan.fresh, tags=tags)
            case "get_many":
                return await cache.get_many(
                    plan.keys, self._opened.loader, fresh=plan.fresh, tags=tags
                )
            case "peek":
                return cache.peek(key)
            case "set":
                return await cache.set(key, Result(record, key=key), tags=tags)
            case "invalidate":
                return await cache.invalidate(key)
            case "invalidate_tag":
                return await cache.invalidate_tag(plan.tag)
            case "clear":
                return await cache.clear()

    def _forget_key(self, key: str) -> bool:
        raise NotImplementedError

    async def _fetch(self, starter: CallRecord) -> Result:
        key: str = starter.plan.keys[0]
        one = self._take_note((key,), starter.plan.work, starter)
        parent = starter.parent if self.program.options.context == "caller" else None
        self._begin(one, parent)
        await self._finish(one)
        return Result(one, key=key)

    async def _load_batch(self, keys: list[str]) -> dict[str, Result]:
        number = sum(one.starter is None for one in self.history.executions)
        plans = self.program.batches
        one = self._take_note(tuple(keys), plans[number] if number < len(plans) else Fetching())
        opener = caller.get(None)
        self._begin(one, None if opener is None else opener.parent)
        await self._finish(one)
        return {key: Result(one, key=key) for key in keys if one.has(key)}

    def _take_note(
        self, keys: tuple[str, ...], plan: Fetching, starter: CallRecord | None = None
    ) -> Fetch:
        history: History[Fetch] = self.history
        number = len(history.executions)
        return Fetch(
            number=number,
            keys=keys,
            plan=plan,
            starter=starter,
            context=caller.get(None),
            began=history.note(f"execution {number} of {keys} begins, for {starter or 'a batch'}"),
            running=[
                each
                for each in history.executions
                if each.running_now and (each.starter is None) is (starter is None)
            ],
        )

    async def _finish(self, one: Fetch) -> None:
        """Do what the plan says, to the end."""
        calls = partial(self._make, one.plan.calls, one, together=one.plan.together)
        await self._perform(one, one.plan, calls)
        if one.ending == "kept":
            raise KeptError(one)
