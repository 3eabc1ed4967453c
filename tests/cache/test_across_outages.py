"""`across` without a server that answers: values are loaded and kept here, nothing is hidden."""

from __future__ import annotations

import anyio
import pytest

from anyflight.lease import LeaseUnavailableError, MemoryStore, RequestRefusedError
from tests.cache.fleet import change, fleet
from tests.cache.getting import Source, fill, start_call
from tests.support import CANCELLED, HandClock, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]

LOST = ConnectionError("lost")


async def test_values_are_loaded_and_kept_until_the_server_is_back(
    across_clock: HandClock,
) -> None:
    source = Source()
    async with fleet(2, ttl=100) as (one, two):
        one.store.down = LOST
        for _ in range(3):
            assert await one.cache.get("k", source, tags=["a"]) == 1
        requests = len(one.store.requests)
        assert await one.cache.get("other", source, tags=["a"]) == 2
        assert len(one.store.requests) == requests  # the server is left in peace
        assert one.counts.outages == 1
        one.store.down = None
        across_clock.advance(1)
        assert await one.get("shared", source) == 3
        assert await two.get("shared", source) == 3
        assert await two.get("k", source) == 4  # nobody else has what was loaded meanwhile


async def test_what_is_too_old_is_not_served_for_the_doubt(
    across_clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server cannot be asked for what is stored, and can when the work is to begin."""
    source = Source()
    async with fleet(1, ttl=10, stale_if_error=100) as (one,):
        await one.get("k", source)
        across_clock.advance(50)
        one.store.down = LOST
        await one.get("another", source)
        one.store.down = None
        now = across_clock.now
        times = iter([now, now + 1])
        with monkeypatch.context() as patch:
            patch.setattr("anyflight.lease._requests.current_time", lambda: next(times, now + 1))
            assert await one.get("k", source) == 3


WAYS = {
    "invalidate": ("key 'k'", ["invalidate"]),
    "invalidate_tag": ("tag 'a'", ["tagged", "invalidate"]),
    "clear": ("all keys", ["keys", "invalidate", "invalidate_all"]),
    "set": ("key 'k'", ["tag", "replace"]),
}
REQUESTS = [(way, request) for way, (_, requests) in WAYS.items() for request in requests]


class TestWriters:
    @pytest.mark.parametrize(("way", "request_"), REQUESTS)
    async def test_are_told_that_the_server_was_not_and_memory_has_forgotten_all_the_same(
        self, way: str, request_: str
    ) -> None:
        async with fleet(1) as (one,):
            await fill(one.cache, "k", "old", tags=["a"])
            one.store.fails[request_] = LOST
            with pytest.raises(LeaseUnavailableError) as caught:
                await change(one, way)
            assert caught.value.__cause__ is LOST
            about = "key 'k'" if request_ == "invalidate" else WAYS[way][0]
            assert str(caught.value) == f"the server could not be asked about {about}"
            assert caught.value.key == ("k" if about == "key 'k'" else None)
            assert one.peek() is None
            one.store.fails.clear()
            await change(one, way)  # at once: it is not left in peace
            assert one.peek() == ("set" if way == "set" else None)

    @pytest.mark.parametrize(("way", "request_"), REQUESTS)
    async def test_do_not_wait_for_ever(
        self, across_clock: HandClock, way: str, request_: str
    ) -> None:
        async with fleet(1) as (one,), anyio.create_task_group() as tasks:
            await fill(one.cache, "k", "old", tags=["a"])
            one.hold(request_)
            changing = await start_call(tasks, lambda: change(one, way))
            across_clock.advance(1)
            await settle()
            assert isinstance(changing.outcome, LeaseUnavailableError)
            assert one.peek() is None

    async def test_wait_for_their_turn_which_is_no_outage(self) -> None:
        async with fleet(1) as (one,), anyio.create_task_group() as tasks:
            gate = one.hold("invalidate")
            for _ in range(100):
                tasks.start_soon(one.cache.invalidate, "k")
            await settle()
            gone = await start_call(tasks, lambda: one.cache.invalidate("k"))
            assert one.store.requests.count("invalidate") == 64
            gone.cancel()
            gate.set()
            await settle()
            assert gone.outcome is CANCELLED
            assert one.store.requests.count("invalidate") == 100

    async def test_name_the_key_and_not_what_the_server_calls_it(self) -> None:
        async with fleet(1, lease={"encode_key": str}) as (one,):
            one.store.down = LOST
            for call in (lambda: one.cache.invalidate(42), lambda: one.cache.set(42, "value")):
                with pytest.raises(LeaseUnavailableError, match=r"about key 42$") as caught:
                    await call()
                assert caught.value.key == 42


async def test_what_nobody_knows_of_on_the_server_is_cleared_too() -> None:
    """A value that cannot be shared, an error that is kept, and work without the server."""
    source = Source()
    source.fail = KeyError("nobody")
    async with fleet(2, error_ttl={KeyError: 50}) as (one, two):
        await fill(one.cache, "unshared", (1, 2))
        with pytest.raises(KeyError):
            await one.get("error", source)
        one.store.down = LOST
        await fill(one.cache, "alone", "old")
        one.store.down = None
        assert one.cache.statistics().entries == 3
        await two.cache.clear()
        assert one.cache.statistics().entries == 0


class Refusing(MemoryStore):
    """A server that takes no invalidation of one key."""

    async def invalidate(self, key: str, origin: str) -> None:
        if key == "2":
            raise RequestRefusedError("OOM")
        await super().invalidate(key, origin)


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("way", ["invalidate_tag", "clear"])
async def test_if_one_of_many_keys_is_refused_the_others_are_invalidated_all_the_same(
    way: str, numbers: bool
) -> None:
    store = Refusing()
    options = {"lease": {"encode_key": str}} if numbers else {}
    keys = list(range(5)) if numbers else list("01234")
    async with fleet(2, store, **options) as (one, two):
        for key in keys:
            await two.cache.set(key, "value", tags=["a"])
        with pytest.raises(LeaseUnavailableError) as caught:
            await change(one, way)
        assert str(caught.value) == "the server refused a request about key '2'"
        assert caught.value.key == (None if numbers else "2")
        assert isinstance(caught.value.__cause__, RequestRefusedError)
        await settle()
        assert [key for key in keys if await store.read(f"{key}")] == keys[2:3]
        assert [key for key in keys if two.cache.peek(key)] == (keys[2:3] if way != "clear" else [])


@pytest.mark.parametrize("way", ["invalidate_tag", "clear"])
async def test_if_the_server_is_lost_meanwhile_it_is_not_asked_about_each_of_the_others(
    way: str,
) -> None:
    async with fleet(1) as (one,):
        for key in "01234":
            await one.cache.set(key, "value", tags=["a"])
        one.store.fails["invalidate"] = LOST
        with pytest.raises(LeaseUnavailableError):
            await change(one, way)
        assert one.store.requests.count("invalidate") == 1
