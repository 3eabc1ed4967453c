"""Calls of a decorated function with equal arguments share one execution."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyflight import Coalescer, DeadlockError, FlightCancelledError, coalesced
from tests.coalesced.flying import executions, fly
from tests.support import CANCELLED, Work, assert_idle, settle

pytestmark = pytest.mark.anyio

users = Coalescer[Any, Any](name="users")
work = Work()


@users.coalesced
async def bare(x: Any, y: Any = 2, *rest: Any, z: Any = 3, **more: Any) -> Any:
    return await work(x, y, rest, z, more)


@users.coalesced()
async def called(x: Any, y: Any = 2, *rest: Any, z: Any = 3, **more: Any) -> Any:
    return await work(x, y, rest, z, more)


@coalesced
async def own(x: Any, y: Any = 2, *rest: Any, z: Any = 3, **more: Any) -> Any:
    return await work(x, y, rest, z, more)


@coalesced()
async def own_called(x: Any, y: Any = 2, *rest: Any, z: Any = 3, **more: Any) -> Any:
    return await work(x, y, rest, z, more)


@pytest.fixture(autouse=True)
def _new_work() -> None:
    work.__init__()  # type: ignore[misc]


FUNCTIONS = pytest.mark.parametrize("f", [bare, called, own, own_called], ids=lambda f: f.__name__)


@FUNCTIONS
async def test_law_1_equal_calls_cost_one_execution(f: Any) -> None:
    async with f.coalescer, anyio.create_task_group() as tasks:
        callers = await fly(tasks, *[lambda: f("value")] * 20)
        work.go.set()
    assert [caller.value for caller in callers] == ["value"] * 20
    assert work.calls == [("value", 2, (), 3, {})]
    assert_idle(f.coalescer)


@FUNCTIONS
async def test_how_arguments_are_passed_makes_no_difference(f: Any) -> None:
    async with f.coalescer:
        assert 1 == await executions(
            work,
            lambda: f(1),
            lambda: f(x=1),
            lambda: f(1, 2),
            lambda: f(y=2, x=1),
            lambda: f(1, z=3),
            lambda: f(z=3, y=2, x=1),
        )


@FUNCTIONS
async def test_the_order_of_keyword_arguments_makes_no_difference(f: Any) -> None:
    async with f.coalescer:
        assert 1 == await executions(work, lambda: f(1, a=1, b=2), lambda: f(b=2, a=1, x=1))


@FUNCTIONS
async def test_calls_that_differ_in_any_argument_share_nothing(f: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: f(1),
        lambda: f(2),
        lambda: f(1, 3),
        lambda: f(1, 2, 3),
        lambda: f(1, 2, 3, 4),
        lambda: f(1, 2, (3, 4)),
        lambda: f(1, z=4),
        lambda: f(1, a=2),
        lambda: f(1, b=2),
        lambda: f(1, b=2, a=2),
    ]
    async with f.coalescer:
        assert len(calls) == await executions(work, *calls)


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        (1, True, 1),
        (1, 1.0, 1),
        (0, False, 1),
        (None, 0, 2),
        ("1", 1, 2),
        ((1,), (True,), 1),
        (float("nan"), float("nan"), 2),
    ],
)
async def test_arguments_compare_as_a_dict_compares_keys(one: Any, other: Any, count: int) -> None:
    async with users:
        assert count == await executions(work, lambda: bare(one), lambda: bare(other))
        work.__init__()  # type: ignore[misc]
        assert count == await executions(work, lambda: bare(0, a=one), lambda: bare(0, a=other))


async def test_two_functions_on_one_coalescer_never_share() -> None:
    async with users:
        assert await executions(work, lambda: bare(1), lambda: called(1)) == 2


async def test_functions_with_keys_of_their_own_share_if_these_are_equal() -> None:
    @users.coalesced(key=lambda user_id: user_id)
    async def one(user_id: int) -> Any:
        return await work("one")

    @users.coalesced(key=len)
    async def other(name: str) -> Any:
        return await work("other")

    async with users:
        calls = (lambda: one(3), lambda: other("ada"), lambda: users.execute(3, work))
        assert await executions(work, *calls) == 1
        assert work.calls == [("one",)]


@pytest.mark.parametrize("decorate", [users.coalesced, coalesced])
async def test_a_key_function_is_called_with_the_arguments_exactly_as_given(decorate: Any) -> None:
    def key(*args: Any, **kwargs: Any) -> int:
        seen.append((args, kwargs))
        return 1

    async def f(x: int, y: int = 2) -> tuple[int, int]:
        return x, y

    seen: list[Any] = []
    for function in (decorate(key=key)(f), decorate(f, key=key)):
        async with function.coalescer:
            assert await function(1) == (1, 2)
            assert await function(1, y=3) == (1, 3)
    assert seen == [((1,), {}), ((1,), {"y": 3})] * 2


async def test_cancelling_the_first_caller_harms_no_other() -> None:
    async with own.coalescer, anyio.create_task_group() as tasks:
        first, second = await fly(tasks, lambda: own(1), lambda: own(x=1))
        first.cancel()
        await settle()
        assert first.outcome is CANCELLED
        work.go.set()
    assert second.value == 1
    assert len(work.calls) == 1


async def test_what_the_work_raises_comes_out() -> None:
    @users.coalesced
    async def fail(error: type[Exception]) -> None:
        raise error("of the work")

    async with users:
        for error in (TypeError, ValueError):
            with pytest.raises(error, match=r"^of the work$"):
                await fail(error)


async def test_errors_of_the_coalescer_come_out_unchanged() -> None:
    with pytest.raises(RuntimeError, match=r"'own' \(new\) is not open"):
        await coalesced(own, name="own")(1)
    async with own.coalescer:
        pass
    with pytest.raises(anyio.ClosedResourceError):
        await own(1)
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as owner:
            async with own.coalescer:
                (caller,) = await fly(tasks, lambda: own(1))
                owner.cancel()
                await anyio.sleep_forever()
    assert isinstance(caller.outcome, FlightCancelledError)
    assert repr(caller.outcome.key) == "own(1, 2, z=3)"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_another_event_loop_is_refused(backend: str) -> None:
    async with own.coalescer:
        with pytest.raises(RuntimeError, match="another event loop or thread"):
            await anyio.to_thread.run_sync(lambda: anyio.run(own, 1, backend=backend))


async def test_objects_made_at_import_time_work_in_one_event_loop_after_the_other() -> None:
    # `own` is such an object, and all back ends have it.
    for _ in range(2):
        async with own.coalescer:
            work.__init__()  # type: ignore[misc]
            assert await executions(work, lambda: own(1), lambda: own(1)) == 1


async def test_forget_detaches_the_flight_of_that_call() -> None:
    async with bare.coalescer, anyio.create_task_group() as tasks:
        await fly(tasks, lambda: bare(1))
        assert not bare.forget(2)
        assert bare.forget(y=2, x=1)
        assert not bare.forget(1)
        await fly(tasks, lambda: bare(1))
        assert len(work.calls) == 2
        work.go.set()


async def test_law_5_a_fresh_call_joins_no_flight_that_has_begun() -> None:
    async with bare.coalescer, anyio.create_task_group() as tasks:
        await fly(tasks, lambda: bare(1))
        await fly(tasks, lambda: bare.fresh(1), lambda: bare.fresh(y=2, x=1))
        assert [flight.state for flight in bare.coalescer.flights()] == ["running", "queued"]
        assert len(work.calls) == 1
        work.go.set()
    assert len(work.calls) == 2


async def test_forget_goes_by_the_key_function() -> None:
    @users.coalesced(key=lambda x: x % 10)
    async def f(x: int) -> Any:
        return await work(x)

    async with users, anyio.create_task_group() as tasks:
        await fly(tasks, lambda: f(1))
        assert not f.forget(12)
        assert f.forget(11)
        work.go.set()


async def test_a_function_may_call_itself_and_shares_all_the_way_down() -> None:
    @coalesced
    async def fibonacci(n: int) -> int:
        asked.append(n)
        if n < 2:
            await go.wait()
            return n
        values: list[int] = []

        async def add(m: int) -> None:
            values.append(await fibonacci(m))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(add, n - 1)
            tasks.start_soon(add, n - 2)
        return sum(values)

    asked: list[int] = []
    go = anyio.Event()
    async with fibonacci.coalescer, anyio.create_task_group() as tasks:
        (caller,) = await fly(tasks, lambda: fibonacci(12))
        go.set()
    assert caller.value == 144
    assert sorted(asked) == list(range(13))


async def test_law_11_a_call_that_would_wait_for_itself_is_refused() -> None:
    @coalesced
    async def circle(x: int) -> int:
        return await circle(1 - x)

    async with circle.coalescer:
        with pytest.raises(DeadlockError, match=r"circle\(1\) waits for circle\(0\) waits for cir"):
            await circle(0)


async def test_a_function_that_is_no_async_one_but_returns_an_awaitable_will_do() -> None:
    class Fetch:
        def __init__(self) -> None:
            self.work = work

        async def __call__(self, x: int) -> Any:
            return await self.work(x)

    class Static:
        @staticmethod
        async def __call__(x: int) -> Any:
            return await work(x)

    class OfTheClass:
        @classmethod
        async def __call__(cls, x: int) -> Any:
            return await work(x)

    @types.coroutine
    def generator(x: int) -> Any:
        return (yield from work(x).__await__())

    functions: list[Any] = [
        lambda x=0: work(x),
        functools.partial(own.__wrapped__, y=3),
        Fetch(),
        Static(),
        OfTheClass(),
        generator,
        functools.partial(generator),
        own.__wrapped__.__get__(1),
    ]
    async with users:
        for func in functions:
            f = users.coalesced(func)
            work.__init__()  # type: ignore[misc]
            assert await executions(work, lambda f=f: f(1), lambda f=f: f(1)) == 1  # type: ignore[misc]


async def test_what_does_not_tell_how_it_takes_arguments_has_them_compared_as_given() -> None:
    class Promise:
        def __init__(self, x: int) -> None:
            self.x = x

        def __await__(self) -> Any:
            return work(self.x).__await__()

    f: Any = users.coalesced(functools.lru_cache(Promise))
    async with users:
        assert await executions(work, lambda: f(1), lambda: f(1), lambda: f(x=1)) == 2
        assert repr(f._key_of(1, x=2)) == "Promise(1, x=2)"


async def test_a_decorated_function_may_be_decorated_again() -> None:
    twice = users.coalesced(own)
    async with users, own.coalescer:
        assert await executions(work, lambda: twice(1), lambda: twice(1), lambda: own(1)) == 1
        assert twice.coalescer is users


async def test_a_decorator_below_that_adds_an_argument_confuses_no_two_calls() -> None:
    def with_pool(func: Any) -> Any:
        @functools.wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await func("pool", *args, **kwargs)

        return wrapper

    @users.coalesced
    @with_pool
    async def fetch(pool: str, user_id: int, limit: int = 10, offset: int = 0) -> Any:
        return await work(pool, user_id, limit, offset)

    async with users:
        # By the signature of `fetch` these would be equal: pool=7, user_id=8, limit=10.
        assert await executions(work, lambda: fetch(7, 8), lambda: fetch(7, 8, 10)) == 2
    assert work.calls == [("pool", 7, 8, 0), ("pool", 7, 8, 10)]


async def test_wrong_arguments_raise_what_the_function_itself_would_raise() -> None:
    async with users:
        for args, kwargs in (((), {}), ((), {"y": 1}), ((1,), {"x": 1})):
            with pytest.raises(TypeError) as ours:
                await bare(*args, **kwargs)
            with pytest.raises(TypeError) as theirs:
                bare.__wrapped__(*args, **kwargs)
            assert str(ours.value) == str(theirs.value)
    assert users.statistics().in_flight == 0


async def test_the_function_itself_can_be_called_without_coalescing() -> None:
    work.go.set()
    assert await own.__wrapped__(5) == 5
