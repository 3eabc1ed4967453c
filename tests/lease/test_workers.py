"""The tests' processes talk, stop, go on and end as they are told, and none outlives the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import anyio
import pytest

from tests.lease.nursery import Conversation
from tests.lease.workers import PATIENCE, ROOT, StartWorkers, Worker, has_ended

OWNER = """
import sys
from tests.lease.workers import Nursery
with Nursery() as nursery:
    (worker,) = nursery.start_many(1, "tests.lease.test_workers:parrot", backend="asyncio")
    worker.stop()
    print(worker.pid, flush=True)
    sys.stdin.readline()
"""


async def parrot(conversation: Conversation, **arguments: Any) -> None:
    """Say what it hears, and end when there is nothing more."""
    await conversation.say("arguments", **arguments)
    try:
        while True:
            message = await conversation.hear()
            await conversation.say(message.pop("kind"), **message)
    except anyio.IncompleteRead:
        await conversation.say("farewell")


async def clocks(conversation: Conversation) -> None:
    await conversation.say(
        "clocks", wall=time.time(), nanoseconds=time.time_ns(), monotonic=time.monotonic()
    )


async def broken(conversation: Conversation) -> None:
    raise ValueError("on demand")


@pytest.fixture
def worker(start_workers: StartWorkers, backend: str) -> Worker:
    (worker,) = start_workers(1, "tests.lease.test_workers:parrot", backend=backend, answer=42)
    return worker


def test_a_worker_gets_arguments_and_answers(worker: Worker) -> None:
    assert worker.pid != os.getpid()
    assert worker.hear("arguments")["answer"] == 42
    worker.say("one", figure=1)
    worker.say("two", figure=2)
    assert worker.hear("two")["figure"] == 2
    assert worker.unread == ({"kind": "one", "figure": 1},)
    assert worker.heard("one", figure=2) is None
    assert worker.hear("one", figure=1)["figure"] == 1


def test_a_worker_can_end_by_itself(worker: Worker) -> None:
    worker.hang_up()
    worker.hear("farewell")
    worker.wait()


def test_a_killed_worker_is_gone(worker: Worker) -> None:
    worker.hear("arguments")
    worker.kill()
    with pytest.raises(AssertionError, match="ended without 'more'"):
        worker.hear("more")


def test_a_stopped_worker_says_nothing_until_it_is_resumed(worker: Worker) -> None:
    worker.stop()
    worker.say("later")
    with pytest.raises(AssertionError, match="no 'later' in 0 s"):
        worker.hear("later", within=0)
    worker.resume()
    worker.hear("later")


def test_a_worker_that_fails_says_why(start_workers: StartWorkers, backend: str) -> None:
    (worker,) = start_workers(1, "tests.lease.test_workers:broken", backend=backend)
    with pytest.raises(AssertionError, match="ValueError: on demand"):
        worker.hear("anything")
    worker.wait()


def test_a_worker_can_be_wrong_about_the_time_of_day(
    start_workers: StartWorkers, backend: str
) -> None:
    program = "tests.lease.test_workers:clocks"
    (worker,) = start_workers(1, program, backend=backend, clock_error=-3600)
    says = worker.hear("clocks")
    assert time.time() - 3600 - PATIENCE < says["wall"] <= time.time() - 3600
    assert says["nanoseconds"] / 1e9 == pytest.approx(says["wall"], abs=PATIENCE)
    assert time.monotonic() - PATIENCE < says["monotonic"] <= time.monotonic()


def test_no_worker_outlives_the_tests_not_even_a_stopped_one() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert not has_ended(pid)
        owner.kill()
    deadline = time.monotonic() + PATIENCE
    while not has_ended(pid) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert has_ended(pid)
