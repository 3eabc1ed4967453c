"""Stores of leases beside the plainest model of one: random programs, one step after the other."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import anyio
import coredis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyflight.lease import Busy, Hit, Notice, Outcome, OutcomeKind, Won
from servers.valkey import ValkeyServer
from tests.lease.worlds import MemoryWorld, ValkeyWorld, World, listening
from tests.support import HandClock

KEYS, TOKENS = st.sampled_from("kkkl"), st.sampled_from("abc")
#: Mostly whoever holds the lease.
HOLDERS = st.sampled_from(["holder", "holder", "holder", "a"])
#: Nothing ends within a quarter of a second of what a step looks at, so that a server may be slow.
TTL, KEEPS = 10.25, st.sampled_from([4.5, 25.5])
STEPS = st.one_of(
    st.tuples(st.just("acquire"), KEYS, TOKENS, st.sampled_from(["none", "any", "last", "next"])),
    st.tuples(st.just("acquire"), KEYS, TOKENS, st.sampled_from(["none", "any", "last", "next"])),
    st.tuples(st.just("renew"), KEYS, HOLDERS),
    st.tuples(st.just("commit"), KEYS, HOLDERS, KEEPS, st.booleans()),
    st.tuples(st.just("commit"), KEYS, HOLDERS, KEEPS, st.just(False)),
    st.tuples(st.just("release"), KEYS, HOLDERS),
    st.tuples(st.just("invalidate"), KEYS),
    st.tuples(st.just("replace"), KEYS, KEEPS),
    st.tuples(st.just("read"), KEYS),
    st.tuples(st.just("elapse"), st.sampled_from([3, 8, 15])),
    st.tuples(st.just("lose data")),
)
PROGRAMS = st.lists(STEPS, min_size=10, max_size=40)


@dataclass
class Known:
    """What is known of one key."""

    token: str | None = None
    lease_ends: float = 0.0
    waited: bool = False
    outcome: Outcome | None = None
    outcome_ends: float = 0.0
    forgotten_at: float = math.inf


@dataclass
class Model:
    """What the docs say, without a word about how."""

    now: float = 0.0
    known: dict[str, Known] = field(default_factory=dict)
    #: The epochs that were won, of each key and by each token.
    epochs: dict[str, list[int]] = field(default_factory=dict)
    won_by: dict[tuple[str, str], int] = field(default_factory=dict)
    said: list[Notice] = field(default_factory=list)

    def of(self, key: str) -> Known:
        known = self.known.get(key)
        if known is None or known.forgotten_at <= self.now:
            known = self.known[key] = Known()
        return known

    def usable(self, key: str) -> Outcome | None:
        known = self.of(key)
        return known.outcome if known.outcome_ends > self.now else None

    def win(self, key: str, token: str, epoch: int, since: int) -> None:
        assert all(epoch > earlier for earlier in self.epochs.get(key, ()))
        self.epochs.setdefault(key, []).append(epoch)
        self.won_by[key, token] = epoch
        self.of(key).token = token
        self.of(key).waited |= since > 0
        self.prolong(key)

    def prolong(self, key: str) -> None:
        known = self.of(key)
        known.lease_ends = self.now + TTL
        known.forgotten_at = max(self.now + 2 * TTL, known.outcome_ends)

    def end(self, key: str) -> None:
        """End the lease of a key; what nobody can want any more is forgotten."""
        known = self.of(key)
        known.token = None
        if known.waited:
            self.said.append(Notice(key))

    def forget(self, key: str) -> None:
        known = self.of(key)
        if not known.waited:
            known.forgotten_at = known.outcome_ends


def assert_same(found: Outcome | None, expected: Outcome | None) -> None:
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert (found.epoch, found.kind, found.body) == (
            expected.epoch,
            expected.kind,
            expected.body,
        )


async def run(world: World, program: list[tuple[Any, ...]]) -> None:
    model, store = Model(), world.store
    async with listening(store) as ear:
        for number, (name, *args) in enumerate(program):
            if args[1:2] == ["holder"]:
                args[1] = model.of(args[0]).token or "nobody"
            match name:
                case "acquire":
                    await acquire(model, world, *args)
                case "renew":
                    key, token = args
                    holds = model.of(key).token == token
                    assert await store.renew(key, token, ttl=TTL) is holds
                    if holds:
                        model.prolong(key)
                case "commit":
                    await commit(model, world, number, *args)
                case "release":
                    key, token = args
                    holds = model.of(key).token == token
                    assert await store.release(key, token) is holds
                    if holds:
                        model.end(key)
                        model.forget(key)
                case "invalidate":
                    await store.invalidate(args[0], "me")
                    known = model.of(args[0])
                    known.token, known.outcome, known.outcome_ends = None, None, 0.0
                    model.forget(args[0])
                    model.said.append(Notice(args[0], "me"))
                case "replace":
                    await replace(model, world, number, *args)
                case "read":
                    assert_same(await store.read(args[0]), model.usable(args[0]))
                case "elapse":
                    model.now += args[0]
                    world.elapse(args[0])
                case _:
                    model.known.clear()
                    world.lose_data()
        assert await ear.heard() == model.said
        world.elapse(100)
        assert world.names() == []


async def acquire(model: Model, world: World, key: str, token: str, usable: str) -> None:
    epochs = model.epochs.get(key, [0])
    since = {"none": 0, "any": 1, "last": epochs[-1], "next": epochs[-1] + 1}[usable]
    answer = await world.store.acquire(key, token, ttl=TTL, since=since)
    known, outcome = model.of(key), model.usable(key)
    if since and outcome is not None and outcome.epoch >= since:
        assert isinstance(answer, Hit)
        assert_same(answer.outcome, outcome)
    elif known.token is not None and known.lease_ends > model.now:
        if known.token == token:
            assert answer == Won(epochs[-1])
        else:
            assert isinstance(answer, Busy)
            assert answer.epoch == epochs[-1]
            assert answer.remaining == pytest.approx(known.lease_ends - model.now, abs=0.25)
            known.waited = True
    else:
        assert isinstance(answer, Won)
        model.win(key, token, answer.epoch, since)


async def replace(model: Model, world: World, number: int, key: str, keep: float) -> None:
    outcome = Outcome(0, OutcomeKind.VALUE, b"%d" % number)
    await world.store.replace(key, "me", outcome, keep=keep)
    found = await world.store.read(key)
    assert found is not None
    assert all(found.epoch > earlier for earlier in model.epochs.get(key, ()))
    model.epochs.setdefault(key, []).append(found.epoch)
    ends = model.now + keep
    stored = dataclasses.replace(outcome, epoch=found.epoch)
    model.known[key] = Known(outcome=stored, outcome_ends=ends, forgotten_at=ends)
    assert_same(found, stored)
    model.said.append(Notice(key, "me"))


async def commit(
    model: Model, world: World, number: int, key: str, token: str, keep: float, wanted: bool
) -> None:
    outcome = Outcome(model.won_by.get((key, token), 1), OutcomeKind.VALUE, b"%d" % number)
    committed = await world.store.commit(key, token, outcome, keep=keep, wanted=wanted)
    known, before = model.of(key), model.usable(key)
    if known.token != token:
        # Asked a second time, it says what it said before, as long as it knows.
        of_it = known.outcome is not None and known.outcome.epoch == outcome.epoch
        assert of_it if committed else not (of_it and before)
        return
    assert committed
    if known.waited or wanted:
        known.outcome, known.outcome_ends = outcome, model.now + keep
    model.end(key)
    known.waited = False
    model.forget(key)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=PROGRAMS)
def test_a_store_in_memory_does_as_the_model(
    clock: HandClock, backend: str, program: list[tuple[Any, ...]]
) -> None:
    async def main() -> None:
        await run(MemoryWorld(clock), program)

    anyio.run(main, backend=backend)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs=st.lists(PROGRAMS, min_size=3, max_size=3))
def test_a_server_does_as_the_model(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, programs: list[list[tuple[Any, ...]]]
) -> None:
    async def end_at_once(_: Any) -> None:
        """Spare the test the tenth of a second that coredis waits at the end of a subscription."""

    async def main() -> None:
        async with coredis.Redis(server.host, server.port) as client:
            for program in programs:
                await run(ValkeyWorld(server, client), program)

    monkeypatch.setattr("coredis.patterns.pubsub.BasePubSub._cleanup", end_at_once)
    anyio.run(main)
