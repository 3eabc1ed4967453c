"""A cache beside the plainest model of one: random programs, one step after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyflight import ReadThroughCache
from tests.cache.getting import assert_settled
from tests.support import ASYNCIO_BACKENDS, TRIO_BACKEND, settle

KEYS = st.sampled_from("ab")
MODES = st.sampled_from(["value", "kept error", "other error"])
STEPS = st.one_of(
    st.tuples(st.just("get"), KEYS, MODES, st.booleans()),
    st.tuples(st.just("set"), KEYS),
    st.tuples(st.just("invalidate"), KEYS),
    st.tuples(st.just("invalidate tag"), st.sampled_from(["tag a", "tag b", "both"])),
    st.tuples(st.just("clear")),
    st.tuples(st.just("advance"), st.sampled_from([0.5, 1.0, 2.0, 5.0])),
)
TTL, WINDOWS, KEPT, PAUSE = 4.0, (0.0, 1.0, 3.0), 2.0, 0.4


class KeptError(Exception):
    pass


class OtherError(Exception):
    pass


@dataclass
class Known:
    value: Any = None
    expires: float = -math.inf
    error: str | None = None
    error_until: float = -math.inf
    quiet_until: float = -math.inf
    tags: frozenset[str] = frozenset()


class Model:
    """What the docs say, without flights, windows folded into times, or anything clever."""

    def __init__(self, revalidate: float, if_error: float) -> None:
        self.revalidate, self.if_error = revalidate, if_error
        self.now = 0.0
        self.known: dict[str, Known] = {}
        self.executions = 0

    def peek(self, key: str) -> Any:
        known = self.known.get(key, Known())
        if self.now < known.expires + self.revalidate:
            return known.value
        if self.now < known.error_until and self.now < known.expires + self.if_error:
            return known.value
        return None

    def get(self, key: str, mode: str, *, fresh: bool) -> Any:
        known = self.known.get(key, Known())
        if not fresh:
            if self.now < known.expires:
                return known.value
            if self.now < known.expires + self.revalidate:
                if self.now >= known.quiet_until:
                    self.refresh(key, known, mode)
                return known.value
            if self.now < known.error_until:
                return known.value if self.now < known.expires + self.if_error else known.error
        outcome = self.execute(key, mode)
        if mode == "value" or fresh or self.now >= known.expires + self.if_error:
            return outcome
        return known.value

    def refresh(self, key: str, known: Known, mode: str) -> None:
        self.execute(key, mode)
        if mode == "other error":
            known.quiet_until = self.now + PAUSE
            known.error_until = -math.inf

    def execute(self, key: str, mode: str) -> str:
        self.executions += 1
        outcome = f"{mode} {self.executions}"
        if mode == "value":
            self.known[key] = Known(outcome, self.now + TTL, tags=tags_of(key))
        elif mode == "kept error":
            known = self.known.setdefault(key, Known())
            known.tags |= tags_of(key)
            known.error = outcome
            known.error_until = known.quiet_until = self.now + KEPT
        return outcome

    def invalidate_tag(self, tag: str) -> None:
        self.known = {key: known for key, known in self.known.items() if tag not in known.tags}


def tags_of(key: str) -> frozenset[str]:
    """Return the tags that are given with each call for a key."""
    return frozenset({f"tag {key}", "both"})


class Both:
    """Makes each step with the cache and with the model, and compares."""

    def __init__(self, revalidate: float, if_error: float) -> None:
        self.model = Model(revalidate, if_error)
        self.cache = ReadThroughCache[str, str](
            ttl=TTL,
            stale_while_revalidate=revalidate,
            stale_if_error=if_error,
            error_ttl={KeptError: KEPT},
        )
        self.executions = 0

    async def work(self, mode: str) -> str:
        self.executions += 1
        outcome = f"{mode} {self.executions}"
        if mode == "value":
            return outcome
        raise (KeptError if mode == "kept error" else OtherError)(outcome)

    async def step(self, step: tuple[Any, ...]) -> None:
        model, cache = self.model, self.cache
        match step:
            case ("get", key, mode, fresh):
                try:
                    got = await cache.get(key, self.work, mode, fresh=fresh, tags=tags_of(key))
                except (KeptError, OtherError) as exc:
                    got = str(exc)
                assert got == model.get(key, mode, fresh=fresh)
            case ("set", key):
                await cache.set(key, f"set {key}", tags=["both"])
                model.known[key] = Known(f"set {key}", model.now + TTL, tags=frozenset({"both"}))
            case ("invalidate", key):
                await cache.invalidate(key)
                model.known.pop(key, None)
            case ("invalidate tag", tag):
                await cache.invalidate_tag(tag)
                model.invalidate_tag(tag)
            case ("clear",):
                await cache.clear()
                model.known.clear()
            case ("advance", seconds):
                model.now += seconds
        await settle()
        assert self.executions == model.executions
        assert [cache.peek(key) for key in "ab"] == [model.peek(key) for key in "ab"]
        assert_settled(cache)

    async def run(self, program: list[tuple[Any, ...]]) -> None:
        async with self.cache:
            self.cache._now = self.cache._first.now = lambda: self.model.now
            for step in program:
                await self.step(step)


@pytest.mark.parametrize("backend", [*ASYNCIO_BACKENDS, TRIO_BACKEND])
@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(
    program=st.lists(STEPS, min_size=1, max_size=25),
    revalidate=st.sampled_from(WINDOWS),
    if_error=st.sampled_from(WINDOWS),
)
def test_a_cache_does_what_its_model_does(
    backend: Any, program: list[tuple[Any, ...]], revalidate: float, if_error: float
) -> None:
    name, options = backend
    both = Both(revalidate, if_error)
    anyio.run(both.run, program, backend=name, backend_options=options)
