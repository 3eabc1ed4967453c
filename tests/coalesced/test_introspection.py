"""A decorated function is taken for what it was by all who look at it."""

from __future__ import annotations

import copy
import doctest
import inspect
import pickle
import pydoc
import re
import sys
from abc import ABC, abstractmethod
from functools import partial
from typing import Any, get_type_hints

import pytest
from starlette.background import BackgroundTask

from anyflight import CoalescedFunction, Coalescer, FlightCancelledError, coalesced
from anyflight._call_key import CallKey

users = Coalescer[Any, Any](name="users")


def shown(value: object) -> str:
    """Return what names a test: the same in every process, so without an address."""
    return re.sub(r" object at 0x[0-9a-fA-F]+", "", repr(value))


@coalesced
async def fetch(user_id: int, *, active: bool = True) -> str:
    """Fetch a user.

    >>> fetch.__name__
    'fetch'
    """
    return f"User {user_id}, {active}"


@users.coalesced
def promise(user_id: int) -> Any:
    return fetch(user_id)


class Service:
    """Has one method of each kind."""

    @users.coalesced(key=lambda _self, user_id: user_id)
    async def method(self, user_id: int) -> str:
        """Fetch by a method."""
        return f"User {user_id}"

    @classmethod
    @users.coalesced
    async def class_method(cls, user_id: int) -> str:
        return f"User {user_id}"

    @staticmethod
    @users.coalesced
    async def static_method(user_id: int) -> str:
        return f"User {user_id}"


service = Service()
CALLABLES: list[Any] = [
    fetch,
    promise,
    service.method,
    Service.method,
    Service.class_method,
    service.class_method,
    Service.static_method,
    service.static_method,
]


@pytest.mark.parametrize("function", CALLABLES, ids=shown)
def test_it_is_known_to_be_async_by_every_test_in_use(function: Any) -> None:
    assert inspect.iscoroutinefunction(function)
    assert inspect.iscoroutinefunction(partial(function, 1))
    assert inspect.isroutine(function)  # older versions of FastAPI then go by the first one alone
    assert BackgroundTask(function, 1).is_async  # how Starlette tells
    assert not inspect.isfunction(function)


def test_it_is_async_itself() -> None:
    assert inspect.iscoroutinefunction(fetch.__call__)
    assert inspect.iscoroutinefunction(service.method.__call__)
    assert not inspect.iscoroutinefunction(CoalescedFunction)


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (fetch, "(user_id: 'int', *, active: 'bool' = True) -> 'str'"),
        (service.method, "(user_id: 'int') -> 'str'"),
        (Service.method, "(self, user_id: 'int') -> 'str'"),
        (Service.class_method, "(user_id: 'int') -> 'str'"),
        (Service.static_method, "(user_id: 'int') -> 'str'"),
    ],
    ids=shown,
)
def test_it_has_the_signature_of_the_function(function: Any, signature: str) -> None:
    assert str(inspect.signature(function)) == signature


def test_it_has_the_name_the_module_the_source_and_the_annotations_of_the_function() -> None:
    assert (fetch.__name__, fetch.__qualname__, fetch.__module__) == ("fetch", "fetch", __name__)
    assert service.method.__qualname__ == Service.method.__qualname__ == "Service.method"
    assert service.method.__module__ == Service.method.__module__ == __name__
    assert service.method.__doc__ == Service.method.__doc__ == "Fetch by a method."
    assert "Fetch a user." in inspect.getsource(fetch)
    assert "Fetch by a method." in inspect.getsource(service.method)
    assert type(service.method).__annotations__ is not None  # as tools for documentation ask
    assert get_type_hints(fetch) == {"user_id": int, "active": bool, "return": str}
    assert get_type_hints(service.method) == {"user_id": int, "return": str}


def test_a_callable_object_lends_the_name_of_its_class() -> None:
    class Fetch:
        async def __call__(self, user_id: int) -> str:
            return f"User {user_id}"

    function = coalesced(Fetch())
    assert function.__name__ == "Fetch"
    assert function.__qualname__.endswith("<locals>.Fetch")
    assert inspect.iscoroutinefunction(function)
    assert str(inspect.signature(function)) == "(user_id: 'int') -> 'str'"
    assert repr(function.coalescer).startswith(f"<Coalescer {function.__qualname__!r}")


def test_its_repr_says_what_it_is() -> None:
    assert repr(fetch) == "<coalesced function fetch>"
    assert repr(Service.method) == "<coalesced function Service.method>"
    assert repr(service.method) == f"<coalesced method Service.method of {service!r}>"


def test_help_shows_signature_and_docstring() -> None:
    page = pydoc.plain(pydoc.render_doc(fetch))
    assert "fetch(user_id: 'int', *, active: 'bool' = True) -> 'str'" in page
    assert "Fetch a user." in page
    page = pydoc.plain(pydoc.render_doc(Service))
    assert "method(self, user_id: 'int') -> 'str'" in page
    assert "Fetch by a method." in page


def test_doctest_finds_its_examples() -> None:
    module = sys.modules[__name__]
    (found,) = [one for one in doctest.DocTestFinder().find(module) if one.examples]
    assert found.name == f"{__name__}.fetch"
    assert doctest.DocTestRunner().run(found).failed == 0


@pytest.mark.parametrize("function", [fetch, Service.method, Service.static_method], ids=shown)
def test_it_is_pickled_by_name_and_copied_as_itself(function: Any) -> None:
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.copy(function) is function
    assert copy.deepcopy(function) is function


def test_a_function_without_a_public_name_cannot_be_pickled() -> None:
    @coalesced
    async def local() -> None: ...

    with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
        pickle.dumps(local)
    assert copy.copy(local) is local


def test_an_error_with_its_key_can_be_pickled() -> None:
    key: Any = fetch._key_of(42)
    again = pickle.loads(pickle.dumps(FlightCancelledError("gone", key)))
    assert type(again.key) is CallKey
    assert again.key == key
    assert copy.deepcopy(key) == key


def test_attributes_of_the_function_are_kept_and_others_can_be_added() -> None:
    async def f() -> None: ...

    f.tag = "a"  # type: ignore[attr-defined]
    function: Any = coalesced(f)
    assert function.tag == "a"
    function.other = "b"
    assert function.other == "b"
    with pytest.raises(AttributeError, match="nothing"):
        _ = function.nothing
    with pytest.raises(AttributeError, match="nothing"):
        _ = service.method.nothing  # type: ignore[attr-defined]


def test_an_abstract_method_stays_abstract() -> None:
    class Base(ABC):
        @coalesced
        @abstractmethod
        async def method(self) -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Base()  # type: ignore[abstract]


def test_a_key_reads_as_the_call() -> None:
    @coalesced
    async def f(a: Any, /, b: Any = 2, *rest: Any, c: Any = 3, **more: Any) -> None: ...

    key = f._key_of
    assert repr(fetch._key_of(42)) == "fetch(42, active=True)"
    assert repr(key(1)) == "f(1, 2, c=3)"
    assert repr(key("x", "y", 3, 4, c=5, e=6, d=7)) == "f('x', 'y', 3, 4, c=5, d=7, e=6)"
    assert repr(key("x" * 1000)) == f"f('{'x' * 27}...{'x' * 28}', 2, c=3)"
