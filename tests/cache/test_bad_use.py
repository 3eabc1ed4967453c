"""Bad use gets a clear error before anything has started."""

from __future__ import annotations

import math
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from anyflight import ReadThroughCache
from tests.cache.getting import SlowStore, Source, assert_settled, fill

NUMBERS = ("ttl", "stale_while_revalidate", "stale_if_error", "refresh_ahead", "ttl_jitter")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-1, -0.001, math.nan, -math.inf])
def test_a_number_that_is_negative_or_nan(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .*, but is {value}"):
        ReadThroughCache(**{"ttl": 1, name: value})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["1", None, True, 1j])
def test_what_is_no_number(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a number, not an object of type"):
        ReadThroughCache(**{"ttl": 1, name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ttl": 0}, "ttl must be above zero"),
        ({"ttl": 10**400}, "ttl is too large: for no limit, give math.inf"),
        ({"error_ttl": {KeyError: 10**400}}, "each value of error_ttl is too large"),
        ({"ttl_jitter": 1.01}, "ttl_jitter must be from 0 to 1"),
        ({"refresh_ahead": math.inf}, "refresh_ahead must be finite"),
        ({"max_entries": 0}, "max_entries must be one or more, not 0"),
        ({"error_ttl": {KeyError: 0}}, "each value of error_ttl must be above zero"),
        ({"flight_timeout": 0}, "flight_timeout must be greater than zero"),
        ({"on_abandon": "stop"}, "on_abandon must be"),
    ],
)
def test_a_value_that_is_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReadThroughCache(**{"ttl": 1} | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_entries": None}, "max_entries must be a whole number, not an object of type None"),
        ({"max_entries": 1.5}, "max_entries must be a whole number, not an object of type float"),
        ({"error_ttl": 5}, "error_ttl must be a mapping"),
        ({"error_ttl": {"KeyError": 1}}, "each key of error_ttl must be a subclass of Exception"),
        ({"error_ttl": {KeyboardInterrupt: 1}}, "each key of error_ttl must be a subclass of"),
        ({"error_ttl": {KeyError: "1"}}, "each value of error_ttl must be a number"),
        ({"copy": 1}, "copy must be callable"),
        ({"limiter": 1}, "limiter must be"),
        ({"instruments": [1]}, "each of instruments must be"),
    ],
)
def test_a_value_of_the_wrong_type(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ReadThroughCache(**{"ttl": 1} | options)


def test_whole_numbers_and_infinity_are_fine() -> None:
    ReadThroughCache(ttl=math.inf, stale_while_revalidate=math.inf, stale_if_error=math.inf)
    ReadThroughCache(ttl=1, ttl_jitter=1, refresh_ahead=2, error_ttl={ValueError: math.inf})


def test_a_mapping_that_is_changed_afterwards_changes_nothing() -> None:
    kept: dict[type[Exception], float] = {KeyError: 1}
    cache = ReadThroughCache[int, int](ttl=1, error_ttl=kept)
    kept[OSError] = -1
    assert cache._first.lifetimes.error_lifetime(OSError()) is None


class TestCalls:
    pytestmark = pytest.mark.anyio

    async def test_a_ttl_that_is_next_to_nothing(self) -> None:
        async with ReadThroughCache[int, int](ttl=math.nextafter(0, 1)) as cache:
            await fill(cache, 1, 2)
            await fill(cache, 1, 3)

    @pytest.mark.parametrize("key", [[], {}, ([],)])
    @pytest.mark.parametrize("store", [None, SlowStore()])
    async def test_an_unhashable_key(self, key: Any, store: SlowStore | None) -> None:
        async with ReadThroughCache[Any, Any](ttl=10, store=store) as cache:
            with pytest.raises(TypeError, match="the key must be hashable"):
                await cache.get(key, Source())
            with pytest.raises(TypeError, match="the key must be hashable"):
                await cache.get(key, Source(), fresh=True)
            with pytest.raises(TypeError, match="the key must be hashable"):
                await cache.set(key, 1)
            with pytest.raises(TypeError, match="the key must be hashable"):
                await cache.invalidate(key)
            with pytest.raises(TypeError, match="the key must be hashable"):
                cache.peek(key)
            now = cache.statistics()
            assert (now.misses, now.coalescing.flights) == (0, 0)
            assert_settled(cache)

    async def test_a_type_error_in_the_comparison_of_keys_is_left_as_it_is(self) -> None:
        class Odd:
            def __hash__(self) -> int:
                return 1

            def __eq__(self, other: object) -> bool:
                raise TypeError("cannot compare")

        async with ReadThroughCache[Odd, int](ttl=10) as cache:
            await fill(cache, Odd(), 1)
            with pytest.raises(TypeError, match="cannot compare"):
                await cache.get(Odd(), Source())

    async def test_a_coroutine_in_place_of_a_function_also_if_there_is_a_value(self) -> None:
        async with ReadThroughCache[int, int](ttl=10) as cache:
            for _ in range(2):
                with pytest.raises(TypeError, match="func must be callable"):
                    await cache.get(1, Source()())  # type: ignore[arg-type]
                await fill(cache, 1, 1)

    @pytest.mark.parametrize(
        ("tags", "message"),
        [("a", r"write tags=\['a'\]"), ([1], "a tag must be a string"), (1, "not iterable")],
    )
    async def test_tags_that_are_none(self, tags: Any, message: str) -> None:
        async with ReadThroughCache[int, int](ttl=10) as cache:
            with pytest.raises(TypeError, match=message):
                await cache.get(1, Source(), tags=tags)
            with pytest.raises(TypeError, match=message):
                await cache.set(1, 1, tags=tags)
            assert cache.statistics().entries == 0
            assert cache.statistics().misses == 0
            with pytest.raises(TypeError, match="a tag must be a string"):
                await cache.invalidate_tag(5)  # type: ignore[arg-type]

    async def test_a_cache_that_was_never_opened_or_is_closed(self) -> None:
        cache = ReadThroughCache[int, int](ttl=10)
        await self.refused(cache, RuntimeError, r"ReadThroughCache 'cache' \(new\) is not open")
        async with cache:
            with pytest.raises(RuntimeError, match="cannot be entered twice"):
                await cache.__aenter__()
            await fill(cache, 1, 1)
        await self.refused(cache, anyio.ClosedResourceError, "ReadThroughCache 'cache'")
        with pytest.raises(RuntimeError, match="was not entered"):
            await cache.__aexit__(None, None, None)

    async def refused(self, cache: ReadThroughCache[int, int], kind: Any, message: str) -> None:
        for call in (
            lambda: cache.get(1, Source()),
            lambda: cache.set(1, 1),
            lambda: cache.invalidate(1),
            lambda: cache.invalidate_tag("a"),
            cache.clear,
        ):
            with pytest.raises(kind, match=message):
                await call()
        with pytest.raises(kind, match=message):
            cache.peek(1)

    async def test_another_event_loop(self) -> None:
        async with ReadThroughCache[int, int](ttl=10) as cache:
            await fill(cache, 1, 1)

            async def use(method: str, *args: Any) -> None:
                with pytest.raises(RuntimeError, match="belongs to another event loop or thread"):
                    result = getattr(cache, method)(*args)
                    if method != "peek":
                        await result

            def elsewhere() -> None:
                for call in (("get", 1, Source()), ("set", 1, 2), ("invalidate", 1), ("peek", 1)):
                    anyio.run(use, *call)

            await anyio.to_thread.run_sync(elsewhere)
            assert cache.peek(1) == 1

    async def test_from_a_worker_thread_with_from_thread(self) -> None:
        async with ReadThroughCache[int, int](ttl=10) as cache:
            source = Source()

            def elsewhere() -> int:
                return anyio.from_thread.run(cache.get, 1, source)

            for _ in range(2):
                assert await anyio.to_thread.run_sync(elsewhere) == 1
            assert cache.statistics().hits == 1
