"""Methods share by instance, by its identity; class methods by class; static methods by nothing."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from anyflight import Coalescer, coalesced
from tests.coalesced.flying import executions, fly
from tests.support import Work, assert_idle, settle

users = Coalescer[Any, Any](name="users")
work = Work()


@pytest.fixture(autouse=True)
def _new_work() -> None:
    work.__init__()  # type: ignore[misc]


@dataclass(frozen=True)
class Service:
    """Its instances compare equal."""

    name: str = "service"

    @users.coalesced
    async def method(self, x: Any, y: Any = 2) -> Any:
        return await work(self, x, y)

    @users.coalesced()
    async def other_method(self, x: Any, y: Any = 2) -> Any:
        return await work(self, x, y)

    @users.coalesced
    async def any_method(*args: Any) -> Any:
        return await work(*args)

    @users.coalesced(key=lambda self, x: (self.name, x))
    async def with_key(self, x: Any) -> Any:
        return await work(self, x)

    @coalesced
    async def own(self, x: Any, y: Any = 2) -> Any:
        return await work(self, x, y)

    @classmethod
    @users.coalesced
    async def class_method(cls, x: Any, y: Any = 2) -> Any:
        return await work(cls, x, y)

    @staticmethod
    @users.coalesced
    async def static_method(x: int, y: int = 2) -> Any:
        return await work(x, y)


class Special(Service):
    async def up(self, x: Any) -> Any:
        return await super().method(x)


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    @users.coalesced
    async def method(self, x: Any) -> Any:
        return await work(self, x)


pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ["method", "other_method", "own"])
async def test_calls_on_the_same_instance_share(name: str) -> None:
    one = Service()
    method = getattr(one, name)
    async with method.coalescer:
        assert 1 == await executions(
            work,
            lambda: getattr(one, name)(1),
            lambda: getattr(one, name)(y=2, x=1),
            lambda: method(1),
            lambda: getattr(Service, name)(one, 1),
            lambda: getattr(Service, name)(self=one, x=1),
            lambda: getattr(Service, name).__get__(one)(1),
        )
    assert work.calls == [(one, 1, 2)]
    assert_idle(method.coalescer)


@pytest.mark.parametrize("name", ["method", "other_method", "own"])
async def test_calls_on_equal_instances_do_not_share(name: str) -> None:
    one, other = Service(), Service()
    assert one == other
    async with getattr(one, name).coalescer:
        assert 4 == await executions(
            work,
            lambda: getattr(one, name)(1),
            lambda: getattr(other, name)(1),
            lambda: getattr(Service, name)(Service(), 1),
            lambda: getattr(Service, name)(self=Service(), x=1),
        )


async def test_two_methods_do_not_share() -> None:
    one = Service()
    async with users:
        assert await executions(work, lambda: one.method(1), lambda: one.other_method(1)) == 2


async def test_a_method_that_takes_its_instance_among_others() -> None:
    one, other = Service(), Service()
    async with users:
        assert 3 == await executions(
            work,
            lambda: one.any_method(1),
            lambda: Service.any_method(one, 1),
            lambda: other.any_method(1),
            Service.any_method,
        )


async def test_an_instance_need_not_be_hashable() -> None:
    one, other = Unhashable(), Unhashable()
    async with users:
        assert 2 == await executions(
            work, lambda: one.method(1), lambda: one.method(1), lambda: other.method(1)
        )


async def test_a_key_function_gets_the_instance_and_may_let_equal_ones_share() -> None:
    one, other, third = Service("a"), Service("a"), Service("b")
    async with users:
        assert 2 == await executions(
            work,
            lambda: one.with_key(1),
            lambda: other.with_key(1),
            lambda: Service.with_key(one, 1),
            lambda: users.execute(("a", 1), work),
            lambda: third.with_key(1),
        )


async def test_a_subclass_inherits_a_method_and_may_call_it_by_super() -> None:
    one = Special()
    async with users:
        assert 1 == await executions(
            work, lambda: one.method(1), lambda: one.up(1), lambda: Service.method(one, 1)
        )


async def test_class_methods_share_by_class() -> None:
    async with users:
        assert 2 == await executions(
            work,
            lambda: Service.class_method(1),
            lambda: Service().class_method(x=1, y=2),
            lambda: Special.class_method(1),
            lambda: Special().class_method(1),
        )
    assert work.calls == [(Service, 1, 2), (Special, 1, 2)]


async def test_static_methods_share_by_their_arguments() -> None:
    async with users:
        assert 1 == await executions(
            work,
            lambda: Service.static_method(1),
            lambda: Service().static_method(1, 2),
            lambda: Special.static_method(x=1),
        )


async def test_a_method_can_be_forgotten_for_an_instance_and_arguments() -> None:
    one, other = Service(), Service()
    async with users, anyio.create_task_group() as tasks:
        await fly(tasks, lambda: one.method(1), lambda: Special.class_method(1))
        await fly(tasks, lambda: one.static_method(1), lambda: one.with_key(1))
        assert not one.method.forget(2)
        assert not other.method.forget(1)
        assert one.method.forget(x=1)
        assert not Service.method.forget(one, 1)
        assert not Service.class_method.forget(Service, 1)
        assert Service.class_method.forget(Special, 1)
        assert Service.static_method.forget(1)
        assert other.with_key.forget(1)
        work.go.set()


async def test_a_method_can_be_called_fresh() -> None:
    one = Service()
    async with users, anyio.create_task_group() as tasks:
        for call, fresh in (
            (lambda: one.method(1), lambda: one.method.fresh(x=1)),
            (lambda: Special.class_method(1), lambda: Special.class_method.fresh(Special, 1)),
            (lambda: one.static_method(1), lambda: Service.static_method.fresh(1)),
            (lambda: one.with_key(1), lambda: one.with_key.fresh(1)),
        ):
            before = len(users.flights())
            await fly(tasks, call, fresh)
            states = [flight.state for flight in users.flights()[before:]]
            assert states == ["running", "queued"]
        work.go.set()


async def test_an_instance_is_not_kept_alive_by_a_key() -> None:
    async def call() -> weakref.ref[Service]:
        one = Service()
        assert await one.method(1) is one
        return weakref.ref(one)

    async with users, anyio.create_task_group() as tasks:
        (caller,) = await fly(tasks, call)
        (info,) = users.flights()
        work.go.set()
        await settle()
        work.calls.clear()
        gc.collect()
        assert caller.value() is None
        assert repr(info.key).startswith("Service.method(<instance at 0x")


async def test_a_function_that_becomes_a_method_afterwards_is_one() -> None:
    class Late:
        def __init__(self, name: str) -> None:
            self.name = name

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    async def method(self: Late, x: int) -> Any:
        return await work(self, x)

    function = users.coalesced(method)
    Late.method = function  # type: ignore[attr-defined]
    one: Any = Late("one")
    other: Any = Late("other")
    async with users:
        # As a function it compares its arguments, whatever they are.
        assert 3 == await executions(
            work,
            lambda: one.method(1),
            lambda: other.method(1),
            lambda: function(one, 1),
            lambda: function(other, 1),
        )


async def test_a_bound_method_is_bound_once_and_for_all() -> None:
    one = Service()

    class Other:
        method = one.method

    work.go.set()
    async with users:
        assert await Other().method(1) is one


async def test_bound_methods_compare_as_those_of_python() -> None:
    one, other = Service(), Service()
    assert one.method == one.method
    assert hash(one.method) == hash(one.method)
    assert one.method != other.method
    assert one.method != one.other_method
    assert one.method != Service.method  # type: ignore[comparison-overlap]
    assert one.method.__self__ is one  # type: ignore[attr-defined]
    assert one.method.__func__ is Service.method
    assert weakref.WeakMethod(one.method)() == one.method


async def test_a_bound_method_is_pickled_and_copied_with_its_instance() -> None:
    again = pickle.loads(pickle.dumps(Service("ada").method))
    assert again.__self__ == Service("ada")
    assert again.__func__ is Service.method
    one = Service()
    assert copy.copy(one.method) == one.method


async def test_what_classmethod_asks_for_up_to_python_3_12_is_what_it_makes_itself_later() -> None:
    bound = vars(Service)["class_method"].__func__.__get__(Service, Service)
    assert type(bound) is type(Service.class_method)
    async with users, anyio.create_task_group() as tasks:
        await fly(tasks, lambda: bound(1), lambda: Service.class_method(1))
        assert len(work.calls) == 1
        assert bound.forget(Service, 1)
        work.go.set()
