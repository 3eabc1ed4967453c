"""Values that cannot cross processes: each call that wants one runs the work itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from anyflight.lease import MemoryStore
from tests.lease.leasing import Process
from tests.support import HandClock, Work, settle

pytestmark = pytest.mark.anyio


class Pickle:
    """A codec whose methods do as they are told."""

    def __init__(self, *, encode: Any = b"", decode: Any = None) -> None:
        self.results = {"encode": encode, "decode": decode}

    def encode(self, value: Any, /) -> Any:
        return self.answer("encode")

    def decode(self, data: bytes, /) -> Any:
        return self.answer("decode")

    def answer(self, method: str) -> Any:
        result = self.results[method]
        if isinstance(result, BaseException):
            raise result
        return result


async def shared_by_two(value: Any, **options: Any) -> tuple[Process, Process, Work]:
    """Let two calls of two processes want the same; the second gets ``"own"`` from its own work."""
    memory, work, own = MemoryStore(), Work(), Work()
    own.go.set()
    one, two = Process(memory, **options), Process(memory, **options)
    async with one, two, anyio.create_task_group() as tasks:
        first = await one.start(tasks, "k", work, value)
        second = await two.start(tasks, "k", own, "own")
        work.go.set()
        await settle()
        assert first.value is value
        assert second.value == "own" or own.calls == []
    one.assert_settled()
    two.assert_settled()
    return one, two, own


@pytest.mark.parametrize(
    "encode",
    [ValueError("secret"), RecursionError(), "text", 7, None],
    ids=["error", "recursion", "text", "number", "none"],
)
async def test_what_the_codec_refuses_is_run_by_each_that_waits(encode: Any) -> None:
    one, two, own = await shared_by_two(object(), codec=Pickle(encode=encode))
    assert len(own.calls) == 1
    assert (one.counts.refused, one.counts.ran, one.counts.committed) == (1, 1, 1)
    assert (two.counts.ran_unshared, two.counts.refused) == (1, 0)


async def test_json_is_the_codec_unless_there_is_another() -> None:
    _, two, own = await shared_by_two({"a": [1, None]})
    assert (two.counts.shared, own.calls) == (1, [])
    _, two, own = await shared_by_two((1, 2))
    assert (two.counts.shared, own.calls) == (0, [("own",)])


@pytest.mark.parametrize("body", [b"own", bytearray(b"own"), memoryview(b"own")])
async def test_whatever_has_bytes_will_do(body: Any) -> None:
    _, two, _ = await shared_by_two(1, codec=Pickle(encode=body, decode="own"))
    assert two.counts.shared == 1


async def test_what_is_too_large_is_run_by_each_that_waits() -> None:
    one, two, own = await shared_by_two("x" * 9, max_value_bytes=10)  # eleven with the quotes
    assert len(own.calls) == 1
    assert (one.counts.refused, two.counts.ran_unshared) == (1, 1)
    one, two, own = await shared_by_two("x" * 8, max_value_bytes=10)
    assert (one.counts.refused, two.counts.shared, own.calls) == (0, 1, [])


async def test_what_cannot_be_decoded_is_run_where_it_is_wanted() -> None:
    one, two, own = await shared_by_two(1, codec=Pickle(decode=ValueError("secret")))
    assert len(own.calls) == 1
    assert (one.counts.refused, one.counts.committed) == (0, 1)
    assert (two.counts.refused, two.counts.ran_unshared) == (1, 1)


async def test_those_who_run_it_do_so_at_the_same_time_and_their_errors_are_theirs() -> None:
    memory, work, own = MemoryStore(), Work(), Work(fail=KeyError("mine"))
    one, two = Process(memory), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", work, object())
        calls = [await two.start(tasks, "k", own) for _ in range(3)]
        work.go.set()
        await settle()
        assert own.running == 3
        own.go.set()
        await settle()
        assert [repr(call.outcome) for call in calls] == ["KeyError('mine')"] * 3
    assert two.counts.ran_unshared == 3
    two.assert_settled()


async def test_nothing_of_a_value_is_kept_longer_than_an_error_for_its_not_being_shared(
    clock: HandClock,
) -> None:
    memory, work = MemoryStore(), Work()
    one, two = Process(memory, outcome_ttl=3), Process(memory)
    async with one, two, anyio.create_task_group() as tasks:
        await one.start(tasks, "k", work, object())
        await two.start(tasks, "k", work, 2)
        work.go.set()
        await settle()
        outcome = await memory.read("k")
        assert outcome is not None
        assert outcome.body == b""
        clock.advance(3)
        assert await memory.read("k") is None


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, "anyflight"):
        yield caplog


async def test_the_first_is_a_warning_and_nothing_of_the_value_is_in_the_log(
    log: pytest.LogCaptureFixture,
) -> None:
    process = Process(MemoryStore(), codec=Pickle(encode=ValueError("secret")), name="users")
    work = Work()
    work.go.set()
    async with process:
        for _ in range(3):
            await process.lease.execute("k" * 100, work, "secret")
    assert [record.levelname for record in log.records] == ["WARNING", "DEBUG", "DEBUG"]
    (message, _, _) = [record.getMessage() for record in log.records]
    assert message == (
        "Lease 'users': could not encode the value of 'kkkkkkkkkkkk...kkkkkkkkkkkkk' (ValueError), "
        "so the work is run wherever it is wanted; more of this is logged as DEBUG"
    )
    assert "secret" not in log.text


async def test_a_codec_that_is_interrupted_interrupts(anyio_backend_name: str) -> None:
    class Interrupt(BaseException):
        pass

    memory, work = MemoryStore(), Work()
    work.go.set()
    process = Process(memory, codec=Pickle(encode=Interrupt()))
    async with process:
        with pytest.raises(Interrupt):
            await process.lease.execute("k", work, 1)
        assert len(memory) == 0  # the lease has been given back
    assert process.counts.given_up == 1
    process.assert_settled()
