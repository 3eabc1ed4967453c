"""Errors of the work: as they are where it ran, by name and message everywhere else."""

from __future__ import annotations

import asyncio
import copy
import pickle
import traceback

import anyio
import pytest

from anyflight import CoalescerError
from anyflight.lease import MemoryStore, Outcome, OutcomeKind, RemoteFlightError
from tests.lease.leasing import Process
from tests.support import HandClock, Work, caught_cancellation, settle

pytestmark = pytest.mark.anyio


class OddError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


async def failing() -> None:
    raise ValueError("broken")


async def at_once(value: int = 1) -> int:
    return value


async def remote(error: Exception) -> RemoteFlightError:
    """Return what a call gets that waits for work which fails with this error."""
    memory, work = MemoryStore(), Work(fail=error)
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        first = await one.start(tasks, "k", work)
        second = await two.start(tasks, "k", at_once)
        work.go.set()
        await settle()
    assert first.outcome is error
    assert isinstance(second.outcome, RemoteFlightError)
    return second.outcome


async def test_the_error_is_itself_where_the_work_ran_and_a_record_elsewhere() -> None:
    error = await remote(LookupError("nobody"))
    assert (error.key, error.type_name, error.message) == ("k", "builtins.LookupError", "nobody")
    assert str(error) == (
        "the work for key 'k' failed in another process: builtins.LookupError: nobody"
    )
    assert isinstance(error, CoalescerError)
    assert error.__cause__ is None


async def test_both_are_counted() -> None:
    memory, work = MemoryStore(), Work(fail=ValueError("broken"))
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", work)
        await two.start(tasks, "k", at_once)
        work.go.set()
        await settle()
    assert (one.counts.ran, one.counts.committed) == (1, 1)
    assert (two.counts.remote_errors, two.counts.ran) == (1, 0)
    one.assert_settled()
    two.assert_settled()


async def test_each_of_many_that_wait_has_an_error_of_its_own() -> None:
    memory, work = MemoryStore(), Work(fail=ValueError("broken"))
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", work)
        waiting = [await two.start(tasks, "k", at_once) for _ in range(3)]
        work.go.set()
        await settle()
    errors = {call.outcome for call in waiting}
    assert len(errors) == 3
    assert len(work.calls) == 1


async def test_calls_after_the_end_do_not_get_it() -> None:
    memory, work = MemoryStore(), Work(fail=ValueError("broken"))
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", work)
        await two.start(tasks, "k", at_once)
        work.go.set()
        await settle()
        assert await two.lease.execute("k", at_once, 2) == 2


async def test_it_says_which_class_it_was_and_at_most_a_thousand_characters() -> None:
    error = await remote(OddError())
    assert (error.type_name, error.message) == (f"{__name__}.OddError", "")
    error = await remote(ValueError("\ud800✈" * 1000))
    assert error.message == "\ud800✈" * 500
    error = await remote(type("Elsewhere", (Exception,), {"__module__": None})("there"))
    assert error.type_name == "None.Elsewhere"


async def test_it_can_be_pickled_and_copied() -> None:
    error = await remote(ValueError("broken"))
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(again), str(again)) == (RemoteFlightError, str(error))
        assert (again.key, again.type_name, again.message) == ("k", "builtins.ValueError", "broken")


async def test_its_own_error_leads_to_the_work_and_through_few_frames_of_the_library() -> None:
    process = Process(MemoryStore())
    async with process:
        with pytest.raises(ValueError, match="broken") as caught:
            await process.lease.execute("k", failing)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert (
        frames[0]
        == test_its_own_error_leads_to_the_work_and_through_few_frames_of_the_library.__name__
    )
    assert frames[-1] == "failing"
    assert len(frames) < 10
    assert caught.value.__context__ is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a": 1}', b"[1, 2]", b'["a", "b", "c"]'])
async def test_a_record_that_nobody_can_read_is_as_good_as_none(body: bytes) -> None:
    memory = MemoryStore()
    process = Process(memory)
    async with process, anyio.create_task_group() as tasks:
        await memory.acquire("k", "other", ttl=10, since=0)
        call = await process.start(tasks, "k", at_once, 7)
        outcome = Outcome(1, OutcomeKind.ERROR, body)
        await memory.commit("k", "other", outcome, keep=10, wanted=False)
        await settle()
        assert call.value == 7
    assert process.counts.ran_unshared == 1


async def test_an_error_of_work_that_was_cancelled_is_nobodys_outcome(clock: HandClock) -> None:
    async def awkward() -> None:
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("in the clean-up")

    memory, began = MemoryStore(), anyio.Event()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        first = await one.start(tasks, "k", awkward)
        second = await two.start(tasks, "k", at_once, 2)
        await began.wait()
        first.cancel()
        await settle()
        assert isinstance(first.outcome, ValueError)
        assert second.value == 2
    one.assert_settled()


async def test_a_cancellation_that_was_meant_for_nobody_ends_the_lease_without_an_outcome(
    anyio_backend_name: str,
) -> None:
    if anyio_backend_name == "trio":
        return  # there, whatever raises it knows whose it is

    async def stray() -> None:
        await go.wait()
        raise cancellation

    cancellation = await caught_cancellation()
    memory, go = MemoryStore(), anyio.Event()
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        task = asyncio.create_task(one.lease.execute("k", stray))
        await settle()
        second = await two.start(tasks, "k", at_once, 2)
        go.set()
        await settle()
        assert task.cancelled()
        assert second.value == 2
    assert one.counts.given_up == 1
    one.assert_settled()
