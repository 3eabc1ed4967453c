"""`error_ttl`: which errors are kept, for how long, and that nobody sees another's copy."""

from __future__ import annotations

import gc
import math
import traceback
import weakref
from typing import Any

import anyio
import pytest

from anyflight import ReadThroughCache
from tests.cache.getting import Source, assert_settled, start_get
from tests.support import HandClock, Work, settle

pytestmark = pytest.mark.anyio


class Uncopiable(Exception):
    @property
    def args(self) -> Any:
        return ("odd",)


class Plain(Exception):
    pass


async def test_an_error_is_kept_for_its_time(clock: HandClock) -> None:
    source = Source()
    source.fail = KeyError("nobody")
    async with ReadThroughCache[int, int](ttl=10, error_ttl={LookupError: 3}) as cache:
        for moment in (0, 0, math.nextafter(3, 0)):
            clock.now = moment
            with pytest.raises(KeyError, match="nobody"):
                await cache.get(1, source)
            assert cache.peek(1, "default") == "default"
        assert source.calls == 1
        clock.now = 3
        source.fail = None
        assert await cache.get(1, source) == 2
        now = cache.statistics()
        assert (now.misses, now.kept_errors, now.hits) == (2, 2, 0)
        assert_settled(cache)


async def test_other_errors_are_not_kept() -> None:
    source = Source()
    source.fail = OSError("down")
    async with ReadThroughCache[int, int](ttl=10, error_ttl={LookupError: 3}) as cache:
        for number in (1, 2):
            with pytest.raises(OSError, match="down"):
                await cache.get(1, source)
            assert source.calls == number


async def test_law_8_what_one_call_does_to_its_error_is_not_seen_by_another() -> None:
    source = Source()
    source.fail = Plain("bad")
    async with ReadThroughCache[int, int](ttl=10, error_ttl={Plain: 3}) as cache:
        got: list[Plain] = []
        for number in range(4):
            try:
                try:
                    raise RuntimeError("something else")
                except RuntimeError:
                    await cache.get(1, source)
            except Plain as exc:
                got.append(exc)
                exc.add_note(f"note {number}")
                exc.args = ("changed",)
        assert [exc.__notes__ for exc in got] == [[f"note {number}"] for number in range(4)]
        assert len({id(exc) for exc in got}) == 4
        lengths = {len(traceback.extract_tb(exc.__traceback__)) for exc in got[1:]}
        assert len(lengths) == 1
        assert all(exc.__traceback__ is not None for exc in got)
        names = [frame.name for frame in traceback.extract_tb(got[2].__traceback__)]
        assert names[-1] == "__call__"  # of the source
        assert "_load" not in names
        with pytest.raises(Plain, match="bad"):
            await cache.get(1, source)


async def test_an_error_with_a_context_keeps_it_whoever_handles_what() -> None:
    async def work() -> int:
        try:
            raise KeyError("cause")
        except KeyError:
            raise Plain("bad")  # noqa: B904 - its context is what is looked at

    async with ReadThroughCache[int, int](ttl=10, error_ttl={Plain: 3}) as cache:
        for _ in range(3):
            try:
                raise RuntimeError("something else")
            except RuntimeError:
                with pytest.raises(Plain) as caught:
                    await cache.get(1, work)
            assert isinstance(caught.value.__context__, KeyError)


async def test_all_who_wait_get_the_error_and_the_next_does(clock: HandClock) -> None:
    work = Work(fail=Plain("bad"))
    cache = ReadThroughCache[int, int](ttl=10, error_ttl={Plain: 3})
    async with cache, anyio.create_task_group() as tasks:
        callers = [await start_get(tasks, cache, 1, work) for _ in range(3)]
        work.go.set()
        await settle()
        assert [str(caller.outcome) for caller in callers] == ["bad"] * 3
        with pytest.raises(Plain):
            await cache.get(1, work)
        assert len(work.calls) == 1


async def test_a_fresh_call_asks_though_an_error_is_kept() -> None:
    source = Source()
    source.fail = Plain("bad")
    async with ReadThroughCache[int, int](ttl=10, error_ttl={Plain: 3}) as cache:
        with pytest.raises(Plain):
            await cache.get(1, source)
        source.fail = None
        assert await cache.get(1, source, fresh=True) == 2
        assert await cache.get(1, source) == 2


async def test_an_error_of_a_fresh_call_does_not_take_the_place_of_a_value_that_is_fresh(
    clock: HandClock,
) -> None:
    source = Source()
    async with ReadThroughCache[int, int](ttl=10, error_ttl={Plain: 30}) as cache:
        await cache.get(1, source)
        source.fail = Plain("bad")
        with pytest.raises(Plain):
            await cache.get(1, source, fresh=True)
        assert await cache.get(1, source) == 1
        clock.now = 10
        with pytest.raises(Plain):
            await cache.get(1, source)
        assert source.calls == 2


async def test_with_an_error_that_is_kept_no_value_is_that_nobody_can_use(clock: HandClock) -> None:
    class Value:
        pass

    async def load() -> Value:
        return Value()

    async def fail() -> Value:
        raise Plain("bad")

    async with ReadThroughCache[int, Value](ttl=10, error_ttl={Plain: 30}) as cache:
        value = weakref.ref(await cache.get(1, load))
        clock.now = 10
        with pytest.raises(Plain):
            await cache.get(1, fail)
        gc.collect()
        assert value() is None


async def test_an_error_that_is_kept_keeps_nothing_of_the_cache_alive() -> None:
    class Argument:
        pass

    async def work(argument: Argument) -> int:
        del argument
        raise Plain("bad")

    argument = Argument()
    reference = weakref.ref(argument)
    async with ReadThroughCache[int, int](ttl=10, error_ttl={Plain: 3}) as cache:
        with pytest.raises(Plain):
            await cache.get(1, work, argument)
        del argument
        await settle()
        gc.collect()
        assert cache.statistics().entries == 1
        assert reference() is None


async def test_an_error_that_cannot_be_copied_is_shared_as_it_was() -> None:
    source = Source()
    source.fail = Uncopiable()
    async with ReadThroughCache[int, int](ttl=10, error_ttl={Uncopiable: 3}) as cache:
        lengths = set()
        for _ in range(4):
            with pytest.raises(Uncopiable) as caught:
                await cache.get(1, source)
            lengths.add(len(traceback.extract_tb(caught.value.__traceback__)))
        assert source.calls == 1
        assert len(lengths) <= 2  # of the call that made the flight, and of the others


async def test_an_error_goes_when_its_key_is_invalidated() -> None:
    source = Source()
    source.fail = Plain("bad")
    async with ReadThroughCache[int, int](ttl=10, error_ttl={Plain: 3}) as cache:
        with pytest.raises(Plain):
            await cache.get(1, source, tags=["a"])
        source.fail = None
        await cache.invalidate_tag("a")
        assert await cache.get(1, source) == 2
        assert_settled(cache)
