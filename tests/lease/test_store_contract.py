"""What every store of leases does: the same tests of the one in memory and of those on a server."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterator
from itertools import product
from typing import Any

import anyio
import coredis
import pytest

from anyflight.lease import Busy, Hit, LeaseStore, Notice, Outcome, OutcomeKind, Won
from anyflight.lease.valkey import ValkeyStore
from servers.valkey import ValkeyServer, temporary_valkey
from tests.lease.worlds import Ear, MemoryWorld, ValkeyWorld, World, cluster_client, listening
from tests.support import ASYNCIO_BACKENDS, TRIO_BACKEND, HandClock

pytestmark = pytest.mark.anyio

TTL, KEEP = 10.0, 5.0
#: How much later a server may be than the test thinks, on a machine that is busy.
LATE = 5.0
ALL_BACKENDS = [*ASYNCIO_BACKENDS, TRIO_BACKEND]
BACKENDS = {
    "memory": ALL_BACKENDS,
    "valkey": ALL_BACKENDS,
    # These differ from the one before in what coredis makes of answers, whatever the back end.
    "decoding": [TRIO_BACKEND],
    "cluster": [ASYNCIO_BACKENDS[0]],
}
PLACES = [
    pytest.param((kind, backend.values[0]), id=f"{kind}-{backend.id}")
    for kind, backends in BACKENDS.items()
    for backend in backends
]
KEYS = ["", " ", "{a}", "{}b", "a:b", "a\nb", "\x00", "*", "[a]?", "ü", "✈\U0001f6eb", "i" * 300]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def anyio_backend(place: Any) -> Any:
    return place[1]


@pytest.fixture(scope="session")
def cluster() -> Iterator[ValkeyServer]:
    with temporary_valkey(mode="cluster") as server:
        yield server


async def end_at_once(_: Any) -> None:
    """Spare a test the tenth of a second that coredis waits at the end of a subscription."""


@pytest.fixture
async def world(
    place: Any, request: pytest.FixtureRequest, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[World]:
    monkeypatch.setattr("coredis.patterns.pubsub.BasePubSub._cleanup", end_at_once)
    if place[0] == "memory":
        yield MemoryWorld(clock)
        return
    server: ValkeyServer
    if place[0] == "cluster":
        server = request.getfixturevalue("cluster")
        async with cluster_client(server) as client:
            yield ValkeyWorld(server, client)
    else:
        server = request.getfixturevalue("server")
        decode: Any = place[0] == "decoding"
        async with coredis.Redis(server.host, server.port, decode_responses=decode) as client:
            yield ValkeyWorld(server, client)


@pytest.fixture
def store(world: World) -> LeaseStore:
    return world.store


@pytest.fixture
async def ear(store: LeaseStore) -> AsyncGenerator[Ear]:
    async with listening(store) as ear:
        yield ear


async def won(store: LeaseStore, token: str, *, key: str = "k", since: int = 0) -> int:
    """Let an attempt win the lease; return its epoch."""
    answer = await store.acquire(key, token, ttl=TTL, since=since)
    assert isinstance(answer, Won), answer
    return answer.epoch


async def busy(store: LeaseStore, token: str, *, key: str = "k", since: int = 0) -> Busy:
    """Let an attempt find the lease held."""
    answer = await store.acquire(key, token, ttl=TTL, since=since)
    assert isinstance(answer, Busy), answer
    return answer


async def hit(store: LeaseStore, token: str, *, key: str = "k", since: int) -> Outcome:
    """Let an attempt find an outcome that it may use."""
    answer = await store.acquire(key, token, ttl=TTL, since=since)
    assert isinstance(answer, Hit), answer
    return answer.outcome


async def commit(store: LeaseStore, token: str, epoch: int, **options: Any) -> bool:
    """Commit the epoch's number as its value."""
    outcome = Outcome(epoch, OutcomeKind.VALUE, b"%d" % epoch)
    terms = {"keep": KEEP, "wanted": False, **options}
    key = terms.pop("key", "k")
    return await store.commit(key, token, outcome, **terms)


async def stored(store: LeaseStore, token: str = "a", **options: Any) -> int:
    """Win the lease and commit a value that is stored; return its epoch."""
    epoch = await won(store, token)
    assert await commit(store, token, epoch, wanted=True, **options)
    return epoch


def is_of(outcome: Outcome | None, epoch: int) -> bool:
    return outcome is not None and (outcome.epoch, outcome.body) == (epoch, b"%d" % epoch)


class TestAcquiring:
    async def test_the_first_wins_and_others_are_told_who_holds_it_and_for_how_long(
        self, world: World, store: LeaseStore
    ) -> None:
        epoch = await won(store, "a")
        assert epoch > 0
        answer = await busy(store, "b")
        assert answer.epoch == epoch
        assert TTL - LATE < answer.remaining <= TTL
        world.elapse(4)
        answer = await busy(store, "c")
        assert TTL - LATE < answer.remaining + 4 <= TTL

    async def test_who_asks_again_with_the_token_that_holds_it_has_won_the_same_lease(
        self, world: World, store: LeaseStore
    ) -> None:
        epoch = await won(store, "a")
        world.elapse(4)
        assert await won(store, "a") == epoch
        assert (await busy(store, "b")).remaining <= TTL - 4  # for no longer than before

    async def test_when_its_time_is_over_the_next_attempt_wins_and_no_other(
        self, world: World, store: LeaseStore
    ) -> None:
        first = await won(store, "a")
        world.elapse(TTL)
        second = await won(store, "b")
        assert second > first
        assert (await busy(store, "c")).epoch == second
        assert (await busy(store, "a")).epoch == second  # who held it before is one of the others

    async def test_its_own_token_wins_anew_when_the_time_is_over(
        self, world: World, store: LeaseStore
    ) -> None:
        first = await won(store, "a")
        world.elapse(TTL)
        assert await won(store, "a") > first

    async def test_keys_have_nothing_to_do_with_each_other(self, store: LeaseStore) -> None:
        await won(store, "a", key="one")
        await won(store, "a", key="two")
        await store.invalidate("two", "me")
        assert not await store.renew("two", "a", ttl=TTL)
        assert await store.renew("one", "a", ttl=TTL)


class TestUsingOutcomes:
    async def test_a_newcomer_may_use_none(self, store: LeaseStore) -> None:
        await stored(store)
        await won(store, "b", since=0)

    async def test_an_epoch_that_may_be_used_is_a_hit_and_an_older_one_is_not(
        self, store: LeaseStore
    ) -> None:
        epoch = await stored(store)
        assert is_of(await hit(store, "b", since=1), epoch)
        assert is_of(await hit(store, "b", since=epoch), epoch)
        await won(store, "b", since=epoch + 1)

    async def test_a_hit_comes_before_all_else_and_changes_nothing(
        self, world: World, store: LeaseStore, ear: Ear
    ) -> None:
        old = await stored(store, keep=2 * TTL)
        new = await won(store, "b")
        assert is_of(await hit(store, "c", since=old), old)
        assert is_of(await hit(store, "b", since=old), old)  # its own token or not
        assert await commit(store, "b", new)  # nobody was told that it is busy
        assert await ear.heard() == []
        assert is_of(await store.read("k"), old)

    async def test_the_outcome_of_an_older_epoch_is_there_beside_a_newer_lease(
        self, store: LeaseStore
    ) -> None:
        old = await stored(store)
        new = await won(store, "b")
        assert (await busy(store, "c", since=new)).epoch == new
        assert is_of(await hit(store, "d", since=old), old)
        assert await commit(store, "b", new)
        assert is_of(await hit(store, "c", since=new), new)
        assert is_of(await hit(store, "d", since=old), new)

    async def test_it_outlives_a_lease_that_nobody_waited_for(
        self, world: World, store: LeaseStore
    ) -> None:
        old = await stored(store, keep=3 * TTL)
        for token, end in (("b", "commit"), ("c", "release"), ("d", "neither")):
            epoch = await won(store, token)
            match end:
                case "commit":
                    assert await commit(store, token, epoch)
                case "release":
                    assert await store.release("k", token)
                case _:
                    world.elapse(TTL + KEEP)
            assert is_of(await hit(store, "w", since=old), old)
        world.elapse(2 * TTL)
        assert await store.read("k") is None

    async def test_it_is_there_for_as_long_as_it_was_to_be_kept_and_knows_its_age(
        self, world: World, store: LeaseStore
    ) -> None:
        epoch = await stored(store, keep=60)
        outcome = await hit(store, "b", since=epoch)
        assert 0 <= outcome.age < LATE
        world.elapse(50)
        for outcome_or_none in (await hit(store, "b", since=epoch), await store.read("k")):
            assert outcome_or_none is not None
            assert 50 <= outcome_or_none.age < 50 + LATE
        world.elapse(10)
        assert await store.read("k") is None
        assert await won(store, "b", since=epoch) > epoch

    async def test_its_kind_and_every_byte_of_it_come_back(self, store: LeaseStore) -> None:
        bodies = (b"", bytes(range(256)), b"\xff\xfe\x00\r\n", b"*" * 100_000)
        for kind, body in product(OutcomeKind, bodies):
            epoch = await won(store, "a")
            outcome = Outcome(epoch, kind, body)
            assert await store.commit("k", "a", outcome, keep=KEEP, wanted=True)
            for found in (await store.read("k"), await hit(store, "b", since=epoch)):
                assert found is not None
                assert (found.epoch, found.kind, found.body) == (epoch, kind, body)

    async def test_reading_tells_of_any_epoch_and_is_no_sign_that_anybody_waits(
        self, store: LeaseStore, ear: Ear
    ) -> None:
        assert await store.read("k") is None
        old = await stored(store)
        assert is_of(await store.read("k"), old)
        new = await won(store, "b")
        assert is_of(await store.read("k"), old)
        assert await commit(store, "b", new)
        assert is_of(await store.read("k"), old)
        assert await ear.heard() == []


class TestRenewing:
    async def test_it_lasts_for_its_time_from_now_on(self, world: World, store: LeaseStore) -> None:
        epoch = await won(store, "a")
        for _ in range(5):
            world.elapse(8)
            assert await store.renew("k", "a", ttl=TTL)
        answer = await busy(store, "b")
        assert answer.epoch == epoch
        assert TTL - LATE < answer.remaining <= TTL
        assert await store.renew("k", "a", ttl=60)
        world.elapse(50)
        assert (await busy(store, "b")).epoch == epoch

    async def test_it_can_be_had_again_when_its_time_is_over_and_nobody_else_has_won_it(
        self, world: World, store: LeaseStore
    ) -> None:
        epoch = await won(store, "a")
        world.elapse(1.5 * TTL)
        assert await store.renew("k", "a", ttl=TTL)
        assert (await busy(store, "b")).epoch == epoch

    async def test_a_token_that_does_not_hold_it_changes_nothing(
        self, world: World, store: LeaseStore
    ) -> None:
        assert not await store.renew("k", "a", ttl=TTL)
        assert world.names() == []
        await won(store, "a")
        assert not await store.renew("k", "b", ttl=10 * TTL)
        assert (await busy(store, "b")).remaining <= TTL

    async def test_nor_does_one_whose_lease_has_ended(
        self, world: World, store: LeaseStore
    ) -> None:
        for end in ("commit", "release", "invalidate", "succession"):
            epoch = await won(store, "a")
            match end:
                case "commit":
                    assert await commit(store, "a", epoch, wanted=True)
                case "release":
                    assert await store.release("k", "a")
                case "invalidate":
                    await store.invalidate("k", "me")
                case _:
                    world.elapse(TTL)
                    await won(store, "b")
            assert not await store.renew("k", "a", ttl=TTL)


class TestCommitting:
    async def test_if_nobody_waits_nothing_is_stored_nor_said(
        self, world: World, store: LeaseStore, ear: Ear
    ) -> None:
        assert await commit(store, "a", await won(store, "a"))
        assert world.names() == []
        assert await ear.heard() == []

    async def test_if_somebody_waits_it_is_stored_and_said(
        self, store: LeaseStore, ear: Ear
    ) -> None:
        epoch = await won(store, "a")
        await busy(store, "b")
        assert await commit(store, "a", epoch)
        assert await ear.heard() == [Notice("k")]
        assert is_of(await hit(store, "b", since=epoch), epoch)
        assert await won(store, "c") > epoch  # the lease has ended

    async def test_if_it_is_wanted_it_is_stored_anyway_and_said_to_nobody(
        self, store: LeaseStore, ear: Ear
    ) -> None:
        epoch = await stored(store)
        assert await ear.heard() == []
        assert is_of(await store.read("k"), epoch)

    async def test_a_winner_that_has_waited_knows_that_others_may(
        self, world: World, store: LeaseStore, ear: Ear
    ) -> None:
        first = await won(store, "a")
        await busy(store, "b")
        world.lose_data()
        second = await won(store, "b", since=first)
        assert await commit(store, "b", second)
        assert await ear.heard() == [Notice("k")]
        assert is_of(await hit(store, "c", since=first), second)

    async def test_who_was_told_that_it_is_busy_waits_until_an_outcome_is_stored(
        self, world: World, store: LeaseStore
    ) -> None:
        first = await won(store, "a")
        await busy(store, "w")
        assert await store.release("k", "a")
        second = await won(store, "b")
        world.elapse(TTL)
        third = await won(store, "c")
        assert await commit(store, "c", third)
        assert is_of(await hit(store, "w", since=first), third)
        assert await commit(store, "d", await won(store, "d"))
        assert is_of(await store.read("k"), third)  # nobody has waited since
        assert second < third

    async def test_it_may_come_late_if_nobody_else_has_won_the_lease(
        self, world: World, store: LeaseStore
    ) -> None:
        epoch = await won(store, "a")
        await busy(store, "b")
        world.elapse(1.5 * TTL)
        assert await commit(store, "a", epoch)
        assert is_of(await hit(store, "b", since=epoch), epoch)

    async def test_it_is_refused_if_somebody_else_has(
        self, world: World, store: LeaseStore, ear: Ear
    ) -> None:
        first = await won(store, "a")
        await busy(store, "b")
        world.elapse(TTL)
        second = await won(store, "b", since=first)
        assert not await commit(store, "a", first, wanted=True)
        assert await ear.heard() == []
        assert await store.read("k") is None
        assert (await busy(store, "c")).epoch == second

    async def test_it_is_refused_of_a_token_that_nobody_knows(
        self, world: World, store: LeaseStore, ear: Ear
    ) -> None:
        assert not await commit(store, "a", 1, wanted=True)
        assert world.names() == []
        await won(store, "a")
        await busy(store, "b")
        assert not await commit(store, "b", 1, wanted=True)
        assert await ear.heard() == []
        assert await store.read("k") is None
        assert await store.renew("k", "a", ttl=TTL)

    async def test_it_is_refused_after_the_server_has_lost_its_data(
        self, world: World, store: LeaseStore
    ) -> None:
        epoch = await won(store, "a")
        world.lose_data()
        assert not await commit(store, "a", epoch, wanted=True)
        assert await store.read("k") is None

    async def test_a_second_time_it_does_nothing(
        self, world: World, store: LeaseStore, ear: Ear
    ) -> None:
        epoch = await won(store, "a")
        await busy(store, "b")
        assert await commit(store, "a", epoch)
        await ear.heard()
        world.elapse(KEEP / 2)
        await commit(store, "a", epoch)  # what it returns then is not laid down
        assert await ear.heard() == []
        world.elapse(KEEP / 2)
        assert await store.read("k") is None

    async def test_it_may_be_kept_for_as_long_as_one_likes(
        self, world: World, store: LeaseStore
    ) -> None:
        for keep in (1e9, 1e300, math.inf):
            epoch = await stored(store, keep=keep)
            world.elapse(900_000_000)
            assert is_of(await hit(store, "b", since=epoch), epoch)


class TestReleasing:
    async def test_it_is_free_at_once(self, world: World, store: LeaseStore, ear: Ear) -> None:
        epoch = await won(store, "a")
        assert await store.release("k", "a")
        assert world.names() == []
        assert await ear.heard() == []
        assert await won(store, "b") > epoch

    async def test_who_waits_is_told(self, store: LeaseStore, ear: Ear) -> None:
        first = await won(store, "a")
        await busy(store, "b")
        assert await store.release("k", "a")
        assert await ear.heard() == [Notice("k")]
        assert await store.read("k") is None
        assert await won(store, "b", since=first) > first

    async def test_it_takes_the_token_that_holds_it(
        self, world: World, store: LeaseStore, ear: Ear
    ) -> None:
        assert not await store.release("k", "a")
        assert world.names() == []
        epoch = await won(store, "a")
        assert not await store.release("k", "b")
        assert (await busy(store, "b")).epoch == epoch
        assert await store.release("k", "a")
        assert not await store.release("k", "a")
        assert await ear.heard() == [Notice("k")]

    async def test_also_when_its_time_is_over(self, world: World, store: LeaseStore) -> None:
        await won(store, "a")
        world.elapse(1.5 * TTL)
        assert await store.release("k", "a")
        assert world.names() == []


class TestInvalidating:
    async def test_it_voids_the_lease(self, store: LeaseStore) -> None:
        epoch = await won(store, "a")
        await store.invalidate("k", "me")
        assert not await store.renew("k", "a", ttl=TTL)
        assert not await commit(store, "a", epoch, wanted=True)
        assert not await store.release("k", "a")
        assert await store.read("k") is None
        assert await won(store, "b") > epoch

    async def test_it_drops_the_outcome(self, world: World, store: LeaseStore) -> None:
        epoch = await stored(store)
        await store.invalidate("k", "me")
        assert await store.read("k") is None
        assert world.names() == []
        assert await won(store, "b", since=epoch) > epoch

    async def test_it_tells_everybody_whether_anything_is_known_of_the_key_or_not(
        self, world: World, store: LeaseStore, ear: Ear
    ) -> None:
        await store.invalidate("k", "me")
        assert world.names() == []
        assert await ear.heard() == [Notice("k", "me")]
        await won(store, "a")
        await store.invalidate("k", "me")
        assert await ear.heard() == [Notice("k", "me")]

    async def test_who_waits_goes_on_waiting_for_what_comes_after_it(
        self, store: LeaseStore, ear: Ear
    ) -> None:
        first = await won(store, "a")
        await busy(store, "w")
        await store.invalidate("k", "me")
        second = await won(store, "b")
        assert await commit(store, "b", second)
        assert await ear.heard() == [Notice("k", "me"), Notice("k")]
        assert is_of(await hit(store, "w", since=first), second)


class TestInvalidatingAll:
    async def test_it_tells_everybody_and_changes_nothing(
        self, store: LeaseStore, ear: Ear
    ) -> None:
        epoch = await stored(store)
        await won(store, "b", key="other")
        await store.invalidate_all("me")
        assert await ear.heard() == [Notice(None, "me")]
        assert is_of(await store.read("k"), epoch)
        assert await store.renew("other", "b", ttl=TTL)


class TestReplacing:
    SET = Outcome(0, OutcomeKind.VALUE, b"\x00set\xff")

    async def test_the_outcome_is_stored_in_place_of_what_there_was_and_everybody_is_told(
        self, world: World, store: LeaseStore, ear: Ear
    ) -> None:
        epoch = await stored(store, keep=100)
        await store.replace("k", "me", self.SET, keep=KEEP)
        assert await ear.heard() == [Notice("k", "me")]
        found = await store.read("k")
        assert found is not None
        assert (found.kind, found.body) == (self.SET.kind, self.SET.body)
        assert found.epoch > epoch
        assert 0 <= found.age < LATE
        world.elapse(KEEP)
        assert await store.read("k") is None
        assert world.names() == []

    async def test_there_need_have_been_nothing(self, store: LeaseStore, ear: Ear) -> None:
        await store.replace("k", "me", self.SET, keep=KEEP)
        assert await ear.heard() == [Notice("k", "me")]
        assert await store.read("k") is not None

    async def test_it_voids_the_lease_and_who_waits_may_use_it(self, store: LeaseStore) -> None:
        epoch = await won(store, "a")
        await busy(store, "b")
        await store.replace("k", "me", self.SET, keep=KEEP)
        assert not await commit(store, "a", epoch)
        assert not await store.renew("k", "a", ttl=TTL)
        found = await hit(store, "b", since=epoch + 1)
        assert found.body == self.SET.body
        assert await won(store, "c", since=found.epoch + 1) > found.epoch

    async def test_of_two_the_last_one_counts(self, store: LeaseStore) -> None:
        await store.replace("k", "me", self.SET, keep=KEEP)
        first = await store.read("k")
        await store.replace("k", "you", Outcome(0, OutcomeKind.VALUE, b"last"), keep=math.inf)
        last = await store.read("k")
        assert first is not None
        assert last is not None
        assert last.body == b"last"
        assert last.epoch > first.epoch


async def test_epochs_rise_whatever_happens(world: World, store: LeaseStore) -> None:
    epochs = []
    for end in ("commit", "wanted", "release", "invalidate", "expire", "lose", "commit", "expire"):
        epochs.append(await won(store, "a"))
        match end:
            case "commit" | "wanted":
                assert await commit(store, "a", epochs[-1], wanted=end == "wanted")
            case "release":
                assert await store.release("k", "a")
            case "invalidate":
                await store.invalidate("k", "me")
            case "expire":
                world.elapse(100 * TTL)
            case _:
                world.lose_data()
    epochs.append(await won(store, "a"))
    assert epochs == sorted(set(epochs))


class TestHearing:
    async def test_everybody_hears_everything(self, store: LeaseStore) -> None:
        async with listening(store) as one, listening(store) as two:
            await store.invalidate("a", "me")
            await store.invalidate("b", "me")
            notices = [Notice("a", "me"), Notice("b", "me")]
            assert await one.heard() == notices
            assert await two.heard() == notices

    async def test_nothing_is_missed_from_the_moment_it_is_live(self, store: LeaseStore) -> None:
        heard: list[Notice] = []
        first = anyio.Event()

        def hear(notice: Notice) -> None:
            heard.append(notice)
            first.set()

        async def invalidate() -> None:
            await store.invalidate("k", "me")

        async with anyio.create_task_group() as tasks:

            def live() -> None:
                tasks.start_soon(invalidate)

            tasks.start_soon(store.listen, hear, live)
            await first.wait()
            tasks.cancel_scope.cancel()
        assert heard == [Notice("k", "me")]

    async def test_nobody_hears_anything_afterwards(self, store: LeaseStore) -> None:
        async with listening(store) as one:
            async with listening(store) as two:
                await two.heard()
            await store.invalidate("k", "me")
            assert await one.heard() == [Notice("k", "me")]
        assert two._heard == []


class TestTags:
    async def test_keys_are_found_by_each_of_their_tags(self, store: LeaseStore) -> None:
        await store.tag("k", frozenset({"red", "big"}), keep=KEEP)
        await store.tag("l", frozenset({"red"}), keep=KEEP)
        await store.tag("m", frozenset(), keep=KEEP)
        assert sorted(await store.tagged("red")) == ["k", "l"]
        assert await store.tagged("big") == ["k"]
        assert await store.tagged("m") == await store.tagged("") == []

    async def test_they_are_found_for_as_long_as_was_said_last_or_before(
        self, world: World, store: LeaseStore
    ) -> None:
        red = frozenset({"red"})
        await store.tag("k", red, keep=100)
        await store.tag("k", red, keep=10)
        await store.tag("l", red, keep=50)
        await store.tag("l", red, keep=150)
        await store.tag("m", red, keep=200)
        world.elapse(90)
        assert {"k", "l", "m"} == {*await store.tagged("red")}
        world.elapse(50)
        assert {"l", "m"} <= {*await store.tagged("red")}

    async def test_then_nothing_is_left_of_them(self, world: World, store: LeaseStore) -> None:
        await store.tag("k", frozenset({"red"}), keep=10)
        await store.tag("l", frozenset({"red"}), keep=20)
        world.elapse(15)
        await store.tag("m", frozenset({"red"}), keep=5)
        assert {"l", "m"} <= {*await store.tagged("red")}
        world.elapse(10)
        assert await store.tagged("red") == []
        assert world.names() == []

    async def test_for_ever_is_a_time_too(self, world: World, store: LeaseStore) -> None:
        await store.tag("k", frozenset({"red"}), keep=math.inf)
        world.elapse(900_000_000)
        assert await store.tagged("red") == ["k"]

    async def test_tags_are_no_keys(self, store: LeaseStore) -> None:
        await store.tag("k", frozenset({"red"}), keep=KEEP)
        assert await store.read("red") is None
        await won(store, "a", key="red")
        assert await store.tagged("red") == ["k"]
        assert [key async for key in store.keys()] == ["red"]


async def test_keys_tells_of_every_key_that_has_any_state(store: LeaseStore) -> None:
    assert [key async for key in store.keys()] == []
    for number in range(50):
        await won(store, "a", key=f"{number}")
    await store.release("7", "a")
    keys = [key async for key in store.keys()]
    assert {*keys} == {f"{number}" for number in range(50)} - {"7"}


async def test_any_string_is_a_key(world: World, store: LeaseStore, ear: Ear) -> None:
    for key in KEYS:
        epoch = await won(store, "a", key=key)
        assert [found async for found in store.keys()] == [key]
        assert (await busy(store, "b", key=key)).epoch == epoch
        assert await store.renew(key, "a", ttl=TTL)
        assert await commit(store, "a", epoch, key=key)
        assert await ear.heard() == [Notice(key)]
        assert is_of(await hit(store, "b", key=key, since=epoch), epoch)
        assert is_of(await store.read(key), epoch)
        await store.tag(key, frozenset({key}), keep=KEEP)
        assert await store.tagged(key) == [key]
        await store.invalidate(key, "me")
        assert await ear.heard() == [Notice(key, "me")]
        await won(store, "b", key=key)
        assert await store.release(key, "b")
        world.elapse(KEEP)
        assert world.names() == []


async def test_nothing_stays_on_the_server(world: World, store: LeaseStore) -> None:
    for end in ("never", "commit", "wanted", "release", "renewal", "invalidate"):
        epoch = await won(store, "a", key=end)
        if end in {"commit", "release", "invalidate"}:
            await busy(store, "b", key=end)
        match end:
            case "commit" | "wanted":
                assert await commit(store, "a", epoch, key=end, wanted=end == "wanted")
            case "release":
                assert await store.release(end, "a")
            case "renewal":
                assert await store.renew(end, "a", ttl=TTL)
            case "invalidate":
                await store.invalidate(end, "me")
    world.elapse(2 * TTL)
    assert world.names() == []


async def test_a_check_disturbs_nobody(world: World, store: LeaseStore, ear: Ear) -> None:
    for key in ("k", ""):
        await store.check()
        assert world.names() == []
        epoch = await won(store, "a", key=key)
        await busy(store, "b", key=key)
        await store.tag(key, frozenset({key}), keep=KEEP)
        await store.check()
        assert await commit(store, "a", epoch, key=key)
        assert await ear.heard() == [Notice(key)]
        assert is_of(await hit(store, "b", key=key, since=epoch), epoch)
        assert await store.tagged(key) == [key]
        world.elapse(KEEP)


@pytest.mark.parametrize("place", [place for place in PLACES if "memory" not in str(place.id)])
class TestOnAServer:
    async def test_real_time_ends_a_lease_too(self, store: LeaseStore) -> None:
        first = await store.acquire("k", "a", ttl=0.001, since=0)
        assert isinstance(first, Won)
        while True:
            answer = await store.acquire("k", "b", ttl=TTL, since=0)
            if isinstance(answer, Won):
                break
            await anyio.sleep(0.001)
        assert answer.epoch > first.epoch

    async def test_namespaces_never_meet(self, world: ValkeyWorld, store: LeaseStore) -> None:
        other = ValkeyStore(world.client, f"{world.namespace}.b")
        same = ValkeyStore(world.client, world.namespace)
        async with listening(store) as ear, listening(other) as other_ear:
            await won(store, "a")
            await won(other, "a")
            await store.tag("k", frozenset({"red"}), keep=KEEP)
            await store.invalidate("k", "me")
            assert await other.renew("k", "a", ttl=TTL)
            assert await other.tagged("red") == []
            assert [key async for key in same.keys()] == []
            assert [key async for key in other.keys()] == ["k"]
            assert await ear.heard() == [Notice("k", "me")]
            assert await other_ear.heard() == []
            assert await other.release("k", "a")

    async def test_scripts_that_the_server_has_forgotten_are_sent_again(
        self, world: ValkeyWorld, store: LeaseStore
    ) -> None:
        epoch = await won(store, "a")
        world.server.command("SCRIPT", "FLUSH")
        assert await store.renew("k", "a", ttl=TTL)
        assert (await busy(store, "b")).epoch == epoch
