"""Bad use gets a clear error before anything has started, and nothing is lost."""

from __future__ import annotations

import asyncio
import math
import threading
from contextvars import Context
from datetime import timedelta
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio

from anyflight import Coalescer, TooManyWaitersError
from tests.support import Work, assert_idle, settle, start, start_many


async def one() -> int:
    return 1


def blocking() -> int:
    return 1


class TestArguments:
    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("key", [[], {}, set(), ([],)])
    async def test_an_unhashable_key(self, key: Any) -> None:
        await self.refused(TypeError, "the key must be hashable", key, one)
        async with Coalescer[Any, int]() as coalescer:
            with pytest.raises(TypeError, match="the key must be hashable"):
                coalescer.forget(key)

    async def test_a_type_error_in_the_comparison_of_keys_is_left_as_it_is(self) -> None:
        class Odd:
            def __hash__(self) -> int:
                return 1

            def __eq__(self, other: object) -> bool:
                raise TypeError("cannot compare")

        work = Work()
        async with Coalescer[Odd, int]() as coalescer, anyio.create_task_group() as tasks:
            first = await start(tasks, coalescer, Odd(), work, 1)
            with pytest.raises(TypeError, match="cannot compare"):
                await coalescer.execute(Odd(), work, 1)
            assert coalescer.statistics().refused == 0
            assert coalescer.statistics().calls == 1
            work.go.set()
        assert first.value == 1
        assert_idle(coalescer)

    @pytest.mark.parametrize("func", [None, 1, "fetch"])
    async def test_a_function_that_is_not_callable(self, func: Any) -> None:
        await self.refused(TypeError, "func must be callable, not an object of type", 1, func)

    async def test_a_coroutine_instead_of_a_function(self) -> None:
        await self.refused(TypeError, r"write execute\(key, f, x\)", 1, one())

    async def test_a_function_that_returns_no_awaitable(self) -> None:
        async with Coalescer[int, int]() as coalescer:
            with pytest.raises(TypeError, match=r"blocking returned an object of type int.*async"):
                await coalescer.execute(1, blocking)  # type: ignore[arg-type]
            assert await coalescer.execute(1, one) == 1
        assert_idle(coalescer)

    @pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), float("-inf")])
    async def test_a_timeout_that_is_negative_or_nan(self, timeout: float) -> None:
        await self.refused(ValueError, "negative or NaN", 1, one, timeout=timeout)

    async def test_a_timeout_that_is_no_number(self) -> None:
        await self.refused(TypeError, "a number of seconds", 1, one, timeout="1")

    async def test_a_fallback_that_is_not_callable(self) -> None:
        await self.refused(TypeError, "fallback must be callable", 1, one, timeout=1, fallback=1)

    async def refused(
        self, error: type[Exception], match: str, key: Any, func: Any, **options: Any
    ) -> None:
        async with Coalescer[Any, int]() as coalescer:
            with pytest.raises(error, match=match):
                await coalescer.execute(key, func, **options)
            assert coalescer.statistics().calls == 0
            assert await coalescer.execute(1, one) == 1
        assert_idle(coalescer)


SECONDS = "must be a number of seconds or None, not an object of type"
POSITIVE = "must be greater than zero seconds, but is"


@pytest.mark.parametrize(
    ("error", "options", "match"),
    [
        (ValueError, {"on_abandon": "stop"}, "on_abandon must be 'cancel' or 'finish', not 'stop'"),
        (ValueError, {"on_abandon": None}, "on_abandon must be 'cancel' or 'finish', not None"),
        (ValueError, {"context": "request"}, "context must be 'caller' or 'owner', not 'request'"),
        (ValueError, {"flight_timeout": 0}, f"flight_timeout {POSITIVE} 0"),
        (ValueError, {"flight_timeout": -1.5}, f"flight_timeout {POSITIVE} -1.5"),
        (ValueError, {"flight_timeout": math.nan}, f"flight_timeout {POSITIVE} nan"),
        (TypeError, {"flight_timeout": "1"}, f"flight_timeout {SECONDS} str"),
        (TypeError, {"flight_timeout": True}, f"flight_timeout {SECONDS} bool"),
        (ValueError, {"max_join_age": 0.0}, f"max_join_age {POSITIVE} 0.0"),
        (ValueError, {"max_join_age": -math.inf}, f"max_join_age {POSITIVE} -inf"),
        (ValueError, {"max_join_age": math.nan}, f"max_join_age {POSITIVE} nan"),
        (TypeError, {"max_join_age": timedelta(1)}, f"max_join_age {SECONDS} timedelta"),
        (ValueError, {"max_waiters": 0}, "max_waiters must be one or more, not 0"),
        (ValueError, {"max_waiters": -1}, "max_waiters must be one or more, not -1"),
        (TypeError, {"max_waiters": 1.0}, "max_waiters must be a whole number or None, not"),
        (TypeError, {"max_waiters": math.inf}, "max_waiters must be a whole number or None, not"),
        (TypeError, {"max_waiters": True}, "max_waiters must be a whole number or None, not"),
        (TypeError, {"retry_on": None}, "retry_on must be a subclass of Exception, .* not None"),
        (TypeError, {"retry_on": [ValueError]}, r"or a tuple of such, not \[<class 'ValueError'>"),
        (TypeError, {"retry_on": ValueError()}, r"or a tuple of such, not ValueError\(\)"),
        (TypeError, {"retry_on": (ValueError, (KeyError,))}, "or a tuple of such, not .*KeyError"),
        (TypeError, {"retry_on": KeyboardInterrupt}, "a subclass of Exception, .*Interrupt"),
        (TypeError, {"retry_on": asyncio.CancelledError}, "a subclass of Exception, .*Cancelled"),
        (TypeError, {"limiter": 5}, "limiter must be of type anyio.CapacityLimiter, not .* int"),
        (
            TypeError,
            {"limiter": trio.CapacityLimiter(1)},
            "must be of type anyio.CapacityLimiter, not an object of type trio.CapacityLimiter",
        ),
        (TypeError, {"limiter": anyio.CapacityLimiter}, r"write CapacityLimiter\(...\)"),
    ],
)
def test_an_option_with_a_value_that_it_cannot_have(
    error: type[Exception], options: dict[str, Any], match: str
) -> None:
    with pytest.raises(error, match=match):
        Coalescer(**options)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options",
    [
        {"flight_timeout": math.inf, "max_join_age": math.inf},
        {"flight_timeout": 3600, "max_join_age": 0.001, "max_waiters": 1},
        {"flight_timeout": 1e9, "retry_on": ()},
        {"retry_on": (OSError, Exception), "max_waiters": 10**100},
    ],
)
async def test_an_option_with_a_value_at_the_end_of_its_range(options: dict[str, Any]) -> None:
    async with Coalescer[int, int](**options) as coalescer:
        assert await coalescer.execute(1, one) == 1
    assert_idle(coalescer)


def test_a_copy_that_is_not_callable() -> None:
    with pytest.raises(TypeError, match="copy must be callable"):
        Coalescer(copy="deep")  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_coalescer_that_was_never_opened() -> None:
    coalescer = Coalescer[int, int](name="users")
    with pytest.raises(RuntimeError, match=r"Coalescer 'users' \(new\) is not open.*async with"):
        await coalescer.execute(1, one)
    with pytest.raises(RuntimeError, match="was not entered"):
        await coalescer.__aexit__(None, None, None)
    assert coalescer.flights() == ()


@pytest.mark.anyio
async def test_a_coalescer_that_is_open_cannot_be_entered_twice() -> None:
    work = Work()
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        caller = await start(tasks, coalescer, 1, work, 1)
        with pytest.raises(RuntimeError, match="cannot be entered twice"):
            await coalescer.__aenter__()
        work.go.set()
    assert caller.value == 1


@pytest.mark.anyio
async def test_a_coalescer_that_is_closing_cannot_be_entered() -> None:
    async def own() -> None:
        async with coalescer:
            await leave.wait()

    coalescer, leave, work = Coalescer[int, int](), anyio.Event(), Work()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(own)
        await settle()
        await start(tasks, coalescer, 1, work, 1)
        leave.set()
        await settle()
        with pytest.raises(RuntimeError, match=r"\(closing\) cannot be entered twice"):
            await coalescer.__aenter__()
        work.go.set()


BACKENDS = ("asyncio", "trio")


@pytest.mark.parametrize("theirs", BACKENDS)
@pytest.mark.parametrize("ours", BACKENDS)
@pytest.mark.parametrize("key", ["free", "in the air"])
def test_another_event_loop_in_another_thread(ours: str, theirs: str, key: str) -> None:
    coalescer = Coalescer[str, int]()
    go = anyio.Event()

    async def work() -> int:
        await go.wait()
        return 1

    with anyio.from_thread.start_blocking_portal(ours) as portal:
        with portal.wrap_async_context_manager(coalescer):
            flying = portal.start_task_soon(coalescer.execute, "in the air", work)
            while not coalescer.statistics().in_flight:
                portal.call(anyio.lowlevel.checkpoint)
            with pytest.raises(RuntimeError, match=r"another event loop or thread.*from_thread"):
                anyio.run(coalescer.execute, key, one, backend=theirs)
            with pytest.raises(RuntimeError, match="another event loop or thread"):
                coalescer.forget("in the air")
            portal.call(go.set)
            assert flying.result() == 1
    assert coalescer.statistics().calls == 1
    assert_idle(coalescer)


@pytest.mark.parametrize("theirs", BACKENDS)
def test_another_event_loop_in_the_same_thread(theirs: str) -> None:
    coalescer = Coalescer[int, int]()
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(coalescer.__aenter__())
        for call in (
            lambda: coalescer.execute(1, one),
            lambda: coalescer.__aexit__(None, None, None),
        ):
            with pytest.raises(RuntimeError, match="another event loop or thread"):
                anyio.run(call, backend=theirs)
        assert loop.run_until_complete(coalescer.execute(1, one)) == 1
    finally:
        # The scope was entered in a task that has ended, so it cannot be left: let it go.
        loop.close()


@pytest.mark.anyio
async def test_from_worker_threads_through_anyio() -> None:
    def thread() -> int:
        return anyio.from_thread.run(coalescer.execute, 42, work, 7)

    work = Work()
    results: list[int] = []

    async def call() -> None:
        results.append(await anyio.to_thread.run_sync(thread))

    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(call)
        while coalescer.statistics().waiting < 10:
            await anyio.sleep(0.001)
        work.go.set()
    assert results == [7] * 10
    assert work.calls == [(7,)]
    assert_idle(coalescer)


@pytest.mark.anyio
async def test_statistics_may_be_read_in_any_thread_while_all_is_moving() -> None:
    def poll() -> None:
        for _ in range(2000):
            now = coalescer.statistics()
            assert now.in_flight >= 0
        done.set()

    async def call(key: int) -> None:
        while not done.is_set():
            await coalescer.execute(key % 7, anyio.lowlevel.checkpoint, fresh=key % 2 == 0)

    done = threading.Event()
    async with Coalescer[int, None]() as coalescer, anyio.create_task_group() as tasks:
        for key in range(20):
            tasks.start_soon(call, key)
        await anyio.to_thread.run_sync(poll)
    assert_idle(coalescer)


@pytest.mark.anyio
async def test_statistics_count_every_flight_and_waiter_in_the_air() -> None:
    work = Work()
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        detached = await start_many(2, tasks, coalescer, 1, work, 1)
        coalescer.forget(1)
        await start_many(3, tasks, coalescer, 1, work, 1)
        await start_many(4, tasks, coalescer, 1, work, 1, fresh=True)
        now = coalescer.statistics()
        assert (now.calls, now.flights, now.joined) == (9, 3, 6)
        assert (now.in_flight, now.waiting) == (3, 9)
        assert [info.waiters for info in coalescer.flights()] == [3, 4, 2]
        detached[0].cancel()
        await settle()
        assert coalescer.statistics().waiting == 8
        work.go.set()
    assert_idle(coalescer)


@pytest.mark.anyio
async def test_flights_are_described_in_their_own_event_loop_only() -> None:
    work = Work()
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        await start(tasks, coalescer, 1, work, 1)
        with pytest.raises(RuntimeError, match="another event loop or thread"):
            await anyio.to_thread.run_sync(coalescer.flights)
        work.go.set()


@pytest.mark.anyio
async def test_a_back_end_that_refuses_the_leaders_task_harms_only_those_who_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(leader: Any, **_: object) -> None:
        leader.close()
        raise MemoryError("no more tasks")

    work = Work()
    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        running = await start(tasks, coalescer, 1, work, 1)
        queued = await start(tasks, coalescer, 1, work, 2, fresh=True)
        with monkeypatch.context() as patch:
            patch.setattr(type(coalescer._owner), "start", lambda _self, *a, **k: refuse(*a, **k))
            with pytest.raises(MemoryError):
                await coalescer.execute(2, one)
            work.go.set()
            await settle()
        assert running.value == 1
        assert isinstance(queued.outcome, MemoryError)
        assert await coalescer.execute(1, one) == 1
    assert_idle(coalescer)


@pytest.mark.parametrize("key", ["free", "in the air"])
def test_a_task_of_the_host_of_trios_guest_mode(key: str) -> None:
    """The two share a thread, and the hooks by which calls are mostly told apart."""
    coalescer = Coalescer[str, int]()

    async def main() -> None:
        def end(outcome: Any) -> None:
            ended.set_result(outcome)

        async def guest() -> int:
            async with coalescer, anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, "in the air", work := Work(), 1)
                loop.call_soon(ready.set)
                while not asked:
                    await trio.sleep(0.001)
                work.go.set()
            return int(caller.value)

        loop = asyncio.get_running_loop()
        ready, ended, asked = asyncio.Event(), loop.create_future(), []
        trio.lowlevel.start_guest_run(
            guest, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=end
        )
        await ready.wait()
        with pytest.raises(RuntimeError, match=r"another event loop|from async context"):
            await coalescer.execute(key, one)
        asked.append(True)
        assert (await ended).unwrap() == 1  # and Trio's tasks have noticed nothing

    asyncio.run(main())
    assert_idle(coalescer)


@pytest.mark.parametrize("what", ["forget", "flights"])
def test_a_callback_of_the_event_loop_is_told_to_start_a_task(what: str) -> None:
    async def main() -> None:
        def callback() -> None:
            try:
                coalescer.forget(1) if what == "forget" else coalescer.flights()
            except RuntimeError as error:
                called.set_result(str(error))

        called: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with coalescer:
            # As a selector calls it: in the context of nobody's task.
            asyncio.get_running_loop().call_soon(callback, context=Context())
            assert "must be used in a task" in await called

    coalescer = Coalescer[int, int]()
    asyncio.run(main())
    assert not coalescer.forget(1)


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError("no")


class array:  # noqa: N801 - as one that `reprlib` knows
    pass


@pytest.mark.anyio
@pytest.mark.parametrize("key", [10**5000, Unprintable(), array()], ids=["int", "own", "array"])
async def test_a_key_that_has_no_repr(key: Any) -> None:
    async with (
        Coalescer[Any, Any](max_waiters=1) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, coalescer, key, work := Work())
        with pytest.raises(TooManyWaitersError, match="at 0x"):
            await coalescer.execute(key, work)
        with pytest.raises(TimeoutError, match="at 0x"):
            await coalescer.execute((key,), work, timeout=0)
        assert coalescer.statistics().refused == 1
        work.go.set()
