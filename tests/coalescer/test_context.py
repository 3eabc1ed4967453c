"""Law 14: whose context variables the work sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Literal

import anyio
import pytest
import trio

from anyflight import Coalescer
from tests.support import Caller, Work, settle, start

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


async def read() -> str:
    return REQUEST.get()


async def call_as(coalescer: Coalescer[int, str], request: str, fresh: bool) -> str:
    REQUEST.set(request)
    return await coalescer.execute(1, read, fresh=fresh)


@pytest.mark.anyio
async def test_law_14_the_leader_runs_in_a_copy_of_the_starters_context() -> None:
    async def change() -> str:
        seen = REQUEST.get()
        REQUEST.set("changed by the work")
        return seen

    async with Coalescer[int, str]() as coalescer:
        token = REQUEST.set("the caller's")
        assert await coalescer.execute(1, change) == "the caller's"
        assert REQUEST.get() == "the caller's"
        REQUEST.reset(token)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("context", "seen"), [("caller", "the second's"), ("owner", "the owner's")]
)
async def test_law_14_a_queued_flight_sees_its_own_starters_context_not_its_predecessors(
    context: Literal["caller", "owner"], seen: str
) -> None:
    work = Work()
    token = REQUEST.set("the owner's")
    async with Coalescer[int, str](context=context) as coalescer:
        REQUEST.reset(token)
        async with anyio.create_task_group() as tasks:

            async def first() -> None:
                REQUEST.set("the first's")
                await coalescer.execute(1, work, "x")

            tasks.start_soon(first)
            await settle()
            queued = Caller()

            async def second() -> str:
                return await call_as(coalescer, "the second's", fresh=True)

            tasks.start_soon(queued.run, "scope", second)
            await settle()
            work.go.set()
    assert queued.value == seen


@pytest.mark.anyio
async def test_law_14_with_owner_nothing_of_a_request_reaches_the_work() -> None:
    async def change() -> str:
        seen = REQUEST.get()
        REQUEST.set("left behind by another flight")
        return seen

    token = REQUEST.set("the owner's")
    async with Coalescer[int, str](context="owner") as coalescer:
        REQUEST.set("the request's")
        assert await coalescer.execute(1, change) == "the owner's"
        assert await coalescer.execute(1, change) == "the owner's"
        assert REQUEST.get() == "the request's"
    REQUEST.reset(token)


@pytest.mark.anyio
async def test_law_14_a_coalescer_that_is_opened_again_takes_the_new_owners_context() -> None:
    coalescer = Coalescer[int, str](context="owner")
    for name in ("first", "second"):
        token = REQUEST.set(name)
        async with coalescer:
            assert await coalescer.execute(1, read) == name
        assert not hasattr(coalescer._owner, "context")  # nothing is kept of it
        REQUEST.reset(token)


@pytest.mark.anyio
async def test_law_14_a_flight_that_forget_let_take_off_keeps_its_starters_context() -> None:
    work = Work()
    async with Coalescer[int, str]() as coalescer, anyio.create_task_group() as tasks:
        await start(tasks, coalescer, 1, work, "old")
        queued = Caller()

        async def call() -> str:
            return await call_as(coalescer, "the queued's", fresh=True)

        tasks.start_soon(queued.run, "scope", call)
        await settle()
        copy_context().run(_forget_as, coalescer, "the writer's")
        await settle()
        work.go.set()
    assert queued.value == "the queued's"


def _forget_as(coalescer: Coalescer[int, str], request: str) -> None:
    REQUEST.set(request)
    assert coalescer.forget(1)


@pytest.mark.parametrize("run", [asyncio.run, lambda coroutine: trio.run(lambda: coroutine)])
def test_law_14_an_owner_whose_context_is_empty(run: Callable[[Any], None]) -> None:
    """Without anyio.run() and pytest there may be no context variable at all: an empty context."""

    async def main() -> None:
        go = anyio.Event()
        async with (
            Coalescer[int, str](context="owner") as coalescer,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(coalescer.execute, 1, go.wait)
            queued = Caller()

            async def call() -> str:
                return await call_as(coalescer, "the request's", fresh=True)

            await settle()
            tasks.start_soon(queued.run, "scope", call)
            await settle()
            go.set()
        assert queued.value == "none"

    Context().run(run, main())
