"""Wrong use of a loader gets an error that says what to do, before anything has started."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.to_thread
import pytest

from anyflight import BatchLoader
from tests.loader.batching import LoadBatch, ask, assert_idle
from tests.support import settle

WRONG_OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"load_batch": None},
        TypeError,
        "load_batch must be callable, not an object of type None",
    ),
    ({"max_batch_size": 0}, ValueError, "max_batch_size must be one or more, not 0"),
    ({"max_batch_size": None}, TypeError, "max_batch_size must be a whole number, not an"),
    ({"max_batch_size": True}, TypeError, "max_batch_size must be a whole number, not an"),
    ({"max_concurrent_batches": -1}, ValueError, "max_concurrent_batches must be one or more"),
    ({"max_concurrent_batches": 1.5}, TypeError, "max_concurrent_batches must be a whole number"),
    (
        {"max_delay": -1},
        ValueError,
        "max_delay must be zero or more seconds, and finite, but",
    ),
    ({"max_delay": float("inf")}, ValueError, "max_delay must be zero or more seconds"),
    ({"max_delay": float("nan")}, ValueError, "max_delay must be zero or more seconds"),
    ({"max_delay": None}, TypeError, "max_delay must be a number of seconds, not an object"),
    ({"max_delay": "1"}, TypeError, "max_delay must be a number of seconds, not an object"),
    ({"max_delay": 10**400}, ValueError, "max_delay is too large: for no limit, give math.inf"),
    ({"flight_timeout": 0}, ValueError, "flight_timeout must be greater than zero seconds"),
    ({"limiter": 5}, TypeError, "limiter must be of type anyio.CapacityLimiter"),
    ({"copy": 5}, TypeError, "copy must be callable"),
    ({"context": "request"}, ValueError, "context must be 'caller' or 'owner', not 'request'"),
    ({"instruments": [object()]}, TypeError, "each of instruments must be of type"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG_OPTIONS)
def test_a_wrong_option(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        BatchLoader(**{"load_batch": LoadBatch(), **options})


async def coroutine_function(keys: list[int]) -> dict[int, int]:
    raise AssertionError("not reached")


def test_a_coroutine_in_place_of_the_function() -> None:
    with pytest.raises(TypeError, match=r"^load_batch must be callable"):
        BatchLoader(coroutine_function([]))  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_key_that_is_unhashable_starts_nothing() -> None:
    work = LoadBatch()
    work.release()
    async with BatchLoader[Any, Any](work) as loader:
        message = "^the key must be hashable .*use for example a tuple"
        with pytest.raises(TypeError, match=message):
            await loader.load([1])
        with pytest.raises(TypeError, match=message):
            await loader.load_many([1, [2]])
        with pytest.raises(TypeError, match=message):
            loader.forget([1])
        assert loader.statistics().calls == 0
    assert work.batches == []
    assert_idle(loader)


@pytest.mark.anyio
async def test_a_key_that_cannot_be_compared_starts_nothing() -> None:
    class Odd:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            raise TypeError("incomparable")

    work = LoadBatch()
    async with BatchLoader[Any, Any](work) as loader, anyio.create_task_group() as tasks:
        await ask(tasks, loader, 1)
        with pytest.raises(TypeError, match=r"^incomparable$"):
            await loader.load(Odd())
        with pytest.raises(TypeError, match=r"^incomparable$"):
            await loader.load_many([Odd()])
        with pytest.raises(TypeError, match=r"^incomparable$"):
            await loader.load_many([2, Odd(), Odd()])
        await settle()
        assert work.batches == [[1]]
        work.release()
    assert_idle(loader)


@pytest.mark.anyio
async def test_a_key_that_changes_its_hash_in_flight_harms_itself_alone() -> None:
    class Key:
        def __init__(self) -> None:
            self.hash: int | None = 1

        def __hash__(self) -> int:
            if self.hash is None:
                raise ValueError("no hash any more")
            return self.hash

    work = LoadBatch(answer=lambda _: "found")
    async with BatchLoader[Any, Any](work) as loader, anyio.create_task_group() as tasks:
        moved, broken = Key(), Key()
        callers = await ask(tasks, loader, moved, broken, 2)
        moved.hash = 3
        work.release()
        broken.hash = None
        await settle()
        assert [type(caller.outcome) for caller in callers] == [ValueError] * 3, "no dict of them"
    assert loader.flights() == ()
    assert loader.statistics().in_flight == 0


@pytest.mark.anyio
async def test_keys_that_are_no_iterable_start_nothing() -> None:
    async with BatchLoader[Any, Any](LoadBatch()) as loader:
        with pytest.raises(TypeError, match="not iterable"):
            await loader.load_many(5)  # type: ignore[arg-type]
    assert_idle(loader)


@pytest.mark.anyio
async def test_forget_and_flights_in_another_thread() -> None:
    async with BatchLoader[int, Any](LoadBatch()) as loader:
        for use in (lambda: loader.forget(1), loader.flights):
            with pytest.raises(RuntimeError, match="another event loop or thread"):
                await anyio.to_thread.run_sync(use)
        assert await anyio.to_thread.run_sync(loader.statistics) == loader.statistics()
