"""What cannot be coalesced is refused, with a word on what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

from anyflight import Coalescer, coalesced
from tests.support import assert_idle

users = Coalescer[Any, Any](name="users")

DECORATORS = pytest.mark.parametrize(
    "decorate",
    [users.coalesced, users.coalesced(), coalesced, coalesced()],
    ids=["method", "method()", "function", "function()"],
)


async def fetch(*user_ids: Any, **options: Any) -> Any:
    return user_ids, options


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


@DECORATORS
@pytest.mark.parametrize(
    ("func", "match"),
    [
        (classmethod(fetch), "write @classmethod above"),
        (staticmethod(fetch), "write @staticmethod above"),
        (property(fetch), "must be callable, not an object of type property"),
        (42, "what is decorated must be callable, not an object of type int"),
        (generator, "^generator is a generator function: decorate an async function"),
        (partial(partial(generator)), "is a generator function: decorate an async function"),
        (async_generator, "^async_generator is an async generator function.*returns them all"),
    ],
)
def test_what_returns_no_awaitable(decorate: Any, func: Any, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        decorate(func)


@DECORATORS
def test_a_coroutine_instead_of_a_function(decorate: Any) -> None:
    with pytest.raises(TypeError, match="the async function itself"):
        decorate(fetch(1))


@pytest.mark.parametrize("decorate", [users.coalesced, coalesced])
def test_a_key_that_is_no_plain_function(decorate: Any) -> None:
    with pytest.raises(TypeError, match="key must be callable, not an object of type int"):
        decorate(key=1)(fetch)
    with pytest.raises(TypeError, match="key must be a plain function, but fetch is an async one"):
        decorate(key=fetch)(fetch)


@pytest.mark.anyio
@pytest.mark.parametrize("decorate", [users.coalesced, coalesced])
async def test_an_unhashable_argument_is_named(decorate: Any) -> None:
    async def function(first: Any, /, x: Any = 2, *rest: Any, z: Any = 3, **more: Any) -> None: ...

    f: Any = decorate(function)
    before = f.coalescer.statistics().calls

    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("first", ([],), {}),
        ("x", (1, {}), {}),
        ("x", (1,), {"x": [], "z": []}),
        (r"\*rest", (1, 2, 3, ([],)), {}),
        ("z", (1,), {"z": set()}),
        ("more_than", (1,), {"more_than": []}),
    ]
    async with f.coalescer:
        for name, args, kwargs in calls:
            match = rf"^argument '{name}' of .*function must be hashable \(unhash.*\).*tuple.*key="
            with pytest.raises(TypeError, match=match):
                await f(*args, **kwargs)
            with pytest.raises(TypeError, match=match):
                f.forget(*args, **kwargs)
        assert f.coalescer.statistics().calls == before
    assert_idle(f.coalescer)


@pytest.mark.anyio
async def test_an_unhashable_argument_of_a_method_is_named() -> None:
    class Service:
        @users.coalesced
        async def method(self, x: Any) -> None: ...

    async with users:
        with pytest.raises(TypeError, match=r"^argument 'x' of .*Service\.method must be hashable"):
            await Service().method([])


@pytest.mark.anyio
async def test_an_argument_that_is_hashable_only_sometimes_is_refused_all_the_same() -> None:
    class Odd:
        left = 1

        def __hash__(self) -> int:
            self.left -= 1
            if self.left == 0:
                raise TypeError("not now")
            return 1

    function = users.coalesced(fetch)
    async with users:
        with pytest.raises(TypeError, match=r"^not now$"):
            await function(Odd())


@pytest.mark.anyio
async def test_an_unhashable_default_is_named() -> None:
    @users.coalesced
    async def f(x: Any = []) -> None: ...  # noqa: B006 - that is the point

    async with users:
        with pytest.raises(TypeError, match=r"^argument 'x' of "):
            await f()
        await f(())


@pytest.mark.anyio
async def test_a_key_function_that_returns_something_unhashable() -> None:
    function = users.coalesced(fetch, key=lambda *user_ids: list(user_ids))
    async with users:
        with pytest.raises(TypeError, match=r"^the key must be hashable"):
            await function(1)
        with pytest.raises(TypeError, match=r"^the key must be hashable"):
            function.forget(1)


@pytest.mark.anyio
async def test_a_key_function_that_fails() -> None:
    function = users.coalesced(fetch, key=lambda user_id: 1 // user_id)
    async with users:
        with pytest.raises(ZeroDivisionError):
            await function(0)


@pytest.mark.anyio
async def test_a_function_that_returns_no_awaitable() -> None:
    def blocking(x: int) -> int:
        return x

    function: Any = coalesced(blocking)  # type: ignore[arg-type]
    async with function.coalescer:
        with pytest.raises(TypeError, match=r"blocking returned an object of type int.*to_thread"):
            await function(1)
