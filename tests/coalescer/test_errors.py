"""Law 8 (and the sharing part of law 7): each waiter gets the leader's error, as its own."""

from __future__ import annotations

import gc
import traceback
import weakref
from typing import Any, Self

import anyio
import anyio.lowlevel
import httpx
import pytest

from anyflight import Coalescer
from tests.support import Work, assert_idle, start_many

pytestmark = pytest.mark.anyio


async def failures(count: int, error: BaseException) -> list[Any]:
    """Return what so many waiters of one flight get when its work raises ``error``."""
    work = Work(fail=error)
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        callers = await start_many(count, tasks, coalescer, "k", work)
        work.go.set()
    assert len(work.calls) == 1
    assert coalescer.statistics().failed == 1
    assert_idle(coalescer)
    return [caller.outcome for caller in callers]


async def test_law_7_every_waiter_gets_the_error_of_one_execution() -> None:
    errors = await failures(200, ValueError("bad row", 42))
    assert {type(error) for error in errors} == {ValueError}
    assert {error.args for error in errors} == {("bad row", 42)}


async def test_law_7_a_failing_key_is_free_for_the_next_call() -> None:
    async def fail() -> int:
        raise ValueError

    work = Work()
    work.go.set()
    async with Coalescer[str, int]() as coalescer:
        with pytest.raises(ValueError):
            await coalescer.execute("k", fail)
        assert await coalescer.execute("k", work, 1) == 1


async def test_law_8_each_waiter_has_an_exception_of_its_own() -> None:
    errors = await failures(50, ValueError("x"))
    assert len({id(error) for error in errors}) == 50


async def test_law_8_what_one_waiter_does_to_its_exception_no_other_sees() -> None:
    original = ValueError("x")
    original.add_note("from the work")
    first, *others = await failures(5, original)
    first.add_note("request 1")
    first.__cause__ = KeyError("mine")
    first.__context__ = KeyError("mine too")
    first.extra = 1
    for error in others:
        assert error.__notes__ == ["from the work"]
        assert error.__cause__ is error.__context__ is None
        assert not hasattr(error, "extra")


async def test_law_8_a_note_added_before_the_others_wake_is_not_seen_by_them() -> None:
    async def call() -> None:
        try:
            await coalescer.execute("k", work)
        except ValueError as exc:
            notes.append(list(getattr(exc, "__notes__", [])))
            exc.add_note("mine")

    notes: list[list[str]] = []
    work = Work(fail=ValueError("x"))
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(call)
        await start_many(1, tasks, coalescer, "other", work)
        work.go.set()
    assert notes == [[]] * 5


async def test_law_8_the_cause_and_the_context_of_the_work_arrive() -> None:
    async def fail() -> int:
        await go.wait()
        try:
            raise KeyError("inner")
        except KeyError as exc:
            raise ValueError("outer") from exc

    go = anyio.Event()
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        callers = await start_many(3, tasks, coalescer, "k", fail)
        go.set()
    for caller in callers:
        assert isinstance(caller.outcome.__cause__, KeyError)
        assert caller.outcome.__suppress_context__


def frames(error: BaseException) -> list[str]:
    return [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]


async def test_law_8_ten_thousand_waiters_see_a_traceback_as_short_as_one_does() -> None:
    async def call() -> None:
        try:
            await coalescer.execute("k", work)
        except ValueError as exc:
            seen.append(tuple(frames(exc)))

    seen: list[tuple[str, ...]] = []
    for waiters in (1, 10_000):
        work = Work(fail=ValueError("x"))
        async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
            for _ in range(waiters):
                tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            work.go.set()
        assert len(work.calls) == 1
    # The waiter's own frame, one of the coalescer, and the work's.
    assert seen == [("call", "execute", "deliver", "__call__")] * 10_001


class Uncopyable(Exception):
    """An exception that lets nobody set its args, so that no faithful copy of it can be made."""

    args = property(lambda _self: ("fixed",))  # type: ignore[assignment]


async def test_law_8_what_cannot_be_copied_is_shared_with_the_leaders_traceback() -> None:
    error = Uncopyable()
    errors = await failures(1000, error)
    assert all(caught is error for caught in errors)
    # All of them raised it, one after the other, and the traceback is that of one raise.
    assert frames(error) == ["run", "_in_scope", "call", "execute", "deliver", "__call__"]


async def test_law_8_a_class_that_cannot_be_rebuilt_from_its_args_arrives_whole() -> None:
    request = httpx.Request("GET", "http://localhost/users/42")
    response = httpx.Response(503, request=request)
    for error in await failures(
        3, httpx.HTTPStatusError("503", request=request, response=response)
    ):
        assert type(error) is httpx.HTTPStatusError
        assert error.response is response
        assert error.request is request
        assert str(error) == "503"


async def test_law_8_what_is_shared_brings_nothing_of_another_request() -> None:
    async def call(request: str) -> None:
        try:
            raise LookupError(request)
        except LookupError:
            try:
                await coalescer.execute("k", work)
            except Uncopyable as exc:
                contexts.append(repr(exc.__context__))

    contexts: list[str] = []
    work = Work(fail=Uncopyable())
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        for request in ("1", "2", "3"):
            tasks.start_soon(call, request)
        await start_many(1, tasks, coalescer, "other", _nothing)
        work.go.set()
    assert sorted(contexts) == [f"LookupError('{request}')" for request in "123"]


@pytest.mark.parametrize("waiters", [1, 2])
async def test_law_8_the_works_own_context_survives_a_caller_that_handles_an_exception(
    waiters: int,
) -> None:
    async def fail() -> int:
        await go.wait()
        try:
            raise KeyError("of the work")
        except KeyError:
            raise ValueError("of the work")  # noqa: B904 - the context is what this is about

    async def call() -> None:
        try:
            raise LookupError("of the caller")
        except LookupError:
            try:
                await coalescer.execute("k", fail)
            except ValueError as exc:
                contexts.append(repr(exc.__context__))

    go = anyio.Event()
    contexts: list[str] = []
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        for _ in range(waiters):
            tasks.start_soon(call)
        await start_many(1, tasks, coalescer, "other", _nothing)
        go.set()
    assert contexts == ["KeyError('of the work')"] * waiters


async def test_law_8_a_cause_that_one_waiter_raises_is_its_own_too() -> None:
    async def fail() -> int:
        await go.wait()
        raise ValueError from KeyError("cause")

    go = anyio.Event()
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        first, second = await start_many(2, tasks, coalescer, "k", fail)
        go.set()
    first.outcome.__cause__.add_note("mine")
    assert repr(second.outcome.__cause__) == "KeyError('cause')"
    assert not hasattr(second.outcome.__cause__, "__notes__")


class CodedGroup(ExceptionGroup[Exception]):
    """A group with an attribute and without `derive`: what `split` makes of it is another class."""

    code: int

    def __new__(cls, code: int, errors: list[Exception]) -> Self:
        self = super().__new__(cls, "coded", errors)
        self.code = code
        return self


@pytest.mark.parametrize("waiters", [1, 3])
async def test_law_8_a_group_keeps_its_class_and_attributes(waiters: int) -> None:
    for error in await failures(waiters, CodedGroup(7, [ValueError(1)])):
        assert type(error) is CodedGroup
        assert error.code == 7


class Hostile(BaseExceptionGroup[BaseException]):
    """A group that fails when its cancellations are to be taken out."""

    def derive(self, _errors: object) -> Hostile:  # type: ignore[override]
        raise ZeroDivisionError("in derive")


async def test_an_exception_that_fails_to_be_judged_harms_only_its_own_flight() -> None:
    async def work() -> int:
        await go.wait()
        raise Hostile(
            "both",
            [
                ValueError(1),
                anyio.get_cancelled_exc_class().__new__(anyio.get_cancelled_exc_class()),
            ],
        )

    go, other = anyio.Event(), Work()
    async with Coalescer[str, int]() as coalescer, anyio.create_task_group() as tasks:
        bystander = (await start_many(1, tasks, coalescer, "other", other, 1))[0]
        callers = await start_many(2, tasks, coalescer, "k", work)
        go.set()
        await anyio.wait_all_tasks_blocked()
        assert {type(caller.outcome) for caller in callers} == {ZeroDivisionError}
        other.go.set()
    assert bystander.value == 1
    assert_idle(coalescer)


async def test_a_key_whose_repr_fails_hides_no_error() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    async with Coalescer[Shy, int]() as coalescer:
        with pytest.raises(TimeoutError, match="no outcome for key <Shy instance"):
            await coalescer.execute(Shy(), Work(), timeout=0)


async def test_law_8_the_members_of_a_group_are_isolated_too() -> None:
    group = ExceptionGroup("both", [ValueError(1), ExceptionGroup("in", [KeyError(2)])])
    first, second = await failures(2, group)
    first.exceptions[0].add_note("mine")
    first.exceptions[1].exceptions[0].add_note("mine")
    assert repr(first) == repr(second) == repr(group)
    assert not hasattr(second.exceptions[0], "__notes__")
    assert not hasattr(second.exceptions[1].exceptions[0], "__notes__")


async def test_a_waiter_that_is_alone_gets_the_original() -> None:
    error = ValueError("x")
    assert await failures(1, error) == [error]


class Witness:
    """Something that a frame of the work holds, to see when the frame goes."""


@pytest.mark.parametrize("waiters", [1, 3])
@pytest.mark.parametrize("uncopyable", [False, True])
async def test_law_8_no_reference_cycle_keeps_frames_alive(waiters: int, uncopyable: bool) -> None:
    async def fail() -> int:
        witness = Witness()
        witnesses.append(weakref.ref(witness))
        await go.wait()
        raise Uncopyable if uncopyable else ValueError

    async def call() -> None:
        try:
            await coalescer.execute("k", fail)
        except (ValueError, Uncopyable):
            caught.append(1)

    go = anyio.Event()
    caught: list[int] = []
    witnesses: list[weakref.ref[Witness]] = []
    async with Coalescer[str, int]() as coalescer:
        gc.collect()
        gc.disable()
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(waiters):
                    tasks.start_soon(call)
                await start_many(1, tasks, coalescer, "other", _nothing)
                go.set()
            # A turn of the loop lets go of the tasks themselves.
            await anyio.lowlevel.checkpoint()
            assert len(caught) == waiters
            [witness] = witnesses
            assert witness() is None
        finally:
            gc.enable()


async def _nothing() -> int:
    return 0


async def test_a_timeout_error_of_the_work_is_an_error_like_others() -> None:
    async def slow() -> int:
        raise TimeoutError("of the query")

    async with Coalescer[str, int]() as coalescer:
        with pytest.raises(TimeoutError, match="of the query"):
            await coalescer.execute("k", slow, timeout=60, fallback=_nothing)


async def test_an_error_in_calling_the_function_is_an_error_of_the_work() -> None:
    async with Coalescer[str, int]() as coalescer:
        with pytest.raises(TypeError, match="positional argument"):
            await coalescer.execute("k", _nothing, 1)  # type: ignore[call-arg]
    assert_idle(coalescer)
