"""`across` with keys that are no strings: of what is kept here the names are known, of no more."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest

from anyflight import BatchLoader, ReadThroughCache
from tests.cache.fleet import Member, fleet
from tests.cache.getting import Source, fill, start_call, start_get
from tests.support import settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]

NAMED: dict[str, Any] = {"lease": {"encode_key": str}}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let names be forgotten early that nobody needs."""
    monkeypatch.setattr("anyflight.cache._hearing.FEW", 3)


async def drive_out(member: Member) -> None:
    """Let so many other keys come and go that nothing is known that need not be."""
    for key in range(100, 120):
        await fill(member.cache, key, key)
        await member.cache.invalidate(key)


async def returned(value: Any) -> Any:
    return value


async def test_they_share_and_invalidate_as_strings_do() -> None:
    source = Source()
    async with fleet(2, **NAMED) as (one, two):
        for key in (1, ("a", 2)):
            assert await one.get(key, source) == await two.get(key, source)
        assert source.calls == 2
        await two.cache.invalidate(("a", 2))
        await two.cache.invalidate("of which nobody knows")
        assert one.peek(("a", 2)) is two.peek(("a", 2)) is None
        assert one.peek(1) == two.peek(1) == 1


async def test_names_are_bounded_by_what_is_in_memory_and_that_can_be_invalidated() -> None:
    async with fleet(2, max_entries=5, **NAMED) as (one, two):
        for key in range(200):
            await fill(one.cache, key, key)
            assert len(one.cache._hearing._keys) <= 2 * (5 + 1) + 3 + 1
        kept = list(one.cache._memory.entries)
        assert len(kept) == 5
        for key in kept:
            await two.cache.invalidate(key)
        assert one.cache.statistics().entries == 0


@pytest.mark.parametrize("method", ["read", "acquire"])
async def test_a_key_that_was_invalidated_under_way_is_known_again_when_its_work_begins(
    method: str,
) -> None:
    async with fleet(2, **NAMED) as (one, two), anyio.create_task_group() as tasks:
        gate = one.hold(method)
        loading = await start_get(tasks, one.cache, 1, returned, "value")
        await two.cache.invalidate(1)
        one.store.before.clear()
        await drive_out(one)
        gate.set()
        await settle()
        assert loading.value == one.peek(1) == "value"
        await two.cache.invalidate(1)
        assert one.peek(1) is None


async def test_a_key_that_is_set_is_known_when_it_is_kept() -> None:
    async with fleet(2, **NAMED) as (one, two), anyio.create_task_group() as tasks:
        gate = one.hold("invalidate", "replace")
        setting = await start_call(tasks, lambda: one.cache.set(1, "set"))
        one.store.before.clear()
        await drive_out(one)
        gate.set()
        await settle()
        assert setting.outcome is None
        assert one.peek(1) == "set"
        await two.cache.invalidate(1)
        assert one.peek(1) is None


async def test_names_stay_known_if_a_cache_is_opened_that_is_open() -> None:
    async with fleet(2, **NAMED) as (one, two):
        await fill(one.cache, 1, "old")
        with pytest.raises(RuntimeError, match="cannot be entered twice"):
            await one.cache.__aenter__()
        await two.cache.invalidate(1)
        assert one.peek(1) is None


async def test_a_cache_that_is_closed_knows_none() -> None:
    async with fleet(1, **NAMED) as (one,):
        cache = ReadThroughCache[int, Any](ttl=10, across=one.lease)
        for _ in range(2):
            async with cache:
                await fill(cache, 1, "value")
                assert cache._hearing is not None
                assert cache._hearing._keys == {"1": 1}
            assert cache._hearing._keys == {}
            await one.cache.invalidate(1)  # and hears it no more


async def test_what_a_loader_loads_for_others_is_not_joined_after_an_invalidation() -> None:
    go, database = anyio.Event(), "old"

    async def load_batch(keys: list[Any]) -> dict[Any, str]:
        found = dict.fromkeys(keys, database)
        await go.wait()
        return found

    def encode(key: int) -> str:
        return f"{key:d}"

    loader = BatchLoader[Any, str](load_batch)
    async with (
        fleet(2, lease={"encode_key": encode}) as (one, two),
        loader,
        anyio.create_task_group() as tasks,
    ):
        assert await one.cache.get_many([], loader) == {}
        for key in (1, 2, "no key of the cache"):
            await start_call(tasks, partial(loader.load, key))
        database = "new"
        await two.cache.invalidate(1)
        many = await start_call(tasks, lambda: one.cache.get_many([1, 2], loader))
        go.set()
        await settle()
        assert many.value == {1: "new", 2: "old"}
        assert one.peek(1) == "new"


async def test_an_encoder_that_fails_is_raised_and_nothing_is_left() -> None:
    def encode(key: int) -> str:
        raise ValueError(f"no name for {key}")

    async with fleet(1, lease={"encode_key": encode}) as (one,):
        for call in (lambda: one.get(1, Source()), lambda: one.cache.invalidate(1)):
            with pytest.raises(ValueError, match="no name for 1"):
                await call()


async def test_without_one_keys_must_be_strings() -> None:
    async with fleet(1) as (one,):
        for call in (
            lambda: one.get(1, Source()),
            lambda: one.cache.get(1, Source(), fresh=True),
            lambda: one.cache.set(1, "value"),
            lambda: one.cache.invalidate(1),
        ):
            with pytest.raises(TypeError, match="a key must be a string"):
                await call()
