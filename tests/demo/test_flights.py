"""The instrument writes down each user that a flight fetched, and who was the cause."""

from __future__ import annotations

import anyio
import pytest

from anyflight import BatchLoader, Coalescer, FlightLanded, FlightOutcome, FlightStarted
from demo.flights import FlightLog
from demo.ledger import Fetch, cause
from demo.traffic import Part
from tests.support import settle

pytestmark = pytest.mark.anyio


async def test_a_fetch_belongs_to_the_request_that_started_it() -> None:
    log, answer = FlightLog(), anyio.Event()

    async def fetch() -> None:
        await answer.wait()

    async def request(part: Part) -> None:
        cause.set(part)
        await coalescer.execute(1, fetch)

    async with (
        Coalescer[int, None](instruments=[log]) as coalescer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(request, "spike")
        await settle()
        tasks.start_soon(request, "calm")
        await settle()
        answer.set()
    assert [(each.user, each.part) for each in log.fetches] == [(1, "spike")]


async def test_each_user_of_a_batch_has_its_own_cause() -> None:
    log = FlightLog()

    async def fetch(users: list[int]) -> dict[int, int]:
        return {user: user for user in users}

    async def request(part: Part, user: int) -> None:
        cause.set(part)
        await loader.load(user)

    async with (
        BatchLoader(fetch, instruments=[log]) as loader,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(request, "calm", 1)
        tasks.start_soon(request, "spike", 2)
    assert loader.statistics().batches == 1
    assert {each.user: each.part for each in log.fetches} == {1: "calm", 2: "spike"}


async def test_the_wait_for_a_batch_s_turn_is_part_of_a_fetch() -> None:
    log = FlightLog()
    cause.set("spike")
    log.flight_started(FlightStarted("users", 1, queued=False))
    log.flight_landed(
        FlightLanded("users", 1, FlightOutcome.SUCCEEDED, None, waiters=1, delay=2, duration=3)
    )
    assert log.fetches == [Fetch(1, "spike", 5)]


async def test_a_flight_that_failed_is_no_fetch() -> None:
    log = FlightLog()

    async def fail() -> None:
        raise OSError("down")

    cause.set("calm")
    async with Coalescer[int, None](instruments=[log]) as coalescer:
        with pytest.raises(OSError, match="down"):
            await coalescer.execute(1, fail)
    assert log.fetches == []
