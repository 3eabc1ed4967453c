"""Workers do what they are told, and none outlives the block, or fails in silence."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil
import pytest

from fleet.crew import Line, crew
from fleet.errors import WorkerFailedError


@dataclass
class Counting:
    """A job: say who one is, then add up what one hears."""

    async def carry_out(self, line: Line) -> None:
        line.say(os.getpid())
        total = 0
        while (more := await line.hear()) is not None:
            total += more
        line.say(total)


@dataclass
class Failing:
    async def carry_out(self, line: Line) -> None:
        line.say("about to fail")
        raise LookupError("as told")


def test_workers_are_processes_of_their_own() -> None:
    with crew(2) as workers:
        for worker in workers:
            worker.say(Counting())
        pids = {worker.hear() for worker in workers}
        assert len(pids | {os.getpid()}) == 3
        for worker in workers:
            worker.say(20)
            worker.say(22)
            worker.say(None)
        assert [worker.hear() for worker in workers] == [42, 42]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_worker_does_one_job_after_the_other() -> None:
    with crew(1) as (worker,):
        for number in range(2):
            worker.say(Counting())
            worker.hear()
            worker.say(number)
            worker.say(None)
            assert worker.hear() == number


def test_the_error_of_a_job_is_raised_where_it_was_given() -> None:
    with crew(1) as (worker,):
        worker.say(Failing())
        assert worker.hear() == "about to fail"
        with pytest.raises(WorkerFailedError, match="LookupError: as told"):
            worker.hear()


def test_a_worker_that_was_killed_is_told_as_gone() -> None:
    with crew(1) as (worker,):
        worker.say(Counting())
        worker.hear()
        worker.kill()
        with pytest.raises(WorkerFailedError, match="has ended"):
            worker.hear()
        with pytest.raises(WorkerFailedError, match="has ended"):
            worker.say(1)


def test_a_worker_in_the_middle_of_a_job_ends_with_the_block() -> None:
    with crew(1) as (worker,):
        worker.say(Counting())
        pid = worker.hear()
    assert not psutil.pid_exists(pid)
