"""Each query is written down under the part of the traffic whose request caused it."""

from __future__ import annotations

import anyio
import pytest

from anyflight import Coalescer
from demo.ledger import Fetch, Ledger, Query, cause
from demo.traffic import Part
from tests.support import settle

pytestmark = pytest.mark.anyio


async def test_an_answered_query_is_started_and_written_down() -> None:
    ledger = Ledger()

    async def fetch(user_id: int) -> str:
        return f"row {user_id}"

    cause.set("calm")
    assert await ledger.record(fetch, 3, (3,)) == "row 3"
    (query,) = ledger.queries
    assert query == Query((3,), "calm", query.seconds)
    assert query.seconds >= 0
    assert (ledger.started, ledger.asked) == (1, 1)
    assert ledger.fetches() == [Fetch(3, "calm", query.seconds)]


async def test_one_query_may_ask_for_several_users() -> None:
    ledger = Ledger()

    async def fetch(user_ids: list[int]) -> list[int]:
        return user_ids

    cause.set("calm")
    assert await ledger.record(fetch, [3, 4], (3, 4)) == [3, 4]
    (query,) = ledger.queries
    assert (ledger.started, ledger.asked) == (1, 2)
    assert ledger.fetches() == [Fetch(user, "calm", query.seconds) for user in (3, 4)]


async def test_a_failed_query_is_only_started() -> None:
    ledger = Ledger()

    async def fetch(_: int) -> None:
        raise OSError("down")

    cause.set("calm")
    with pytest.raises(OSError, match="down"):
        await ledger.record(fetch, 3, (3,))
    assert (ledger.started, ledger.asked, ledger.queries) == (1, 1, [])


async def test_a_coalesced_query_belongs_to_the_request_that_started_it() -> None:
    ledger, answer = Ledger(), anyio.Event()

    async def fetch(user_id: int) -> int:
        await answer.wait()
        return user_id

    async def request(part: Part) -> None:
        cause.set(part)
        await coalescer.execute(1, ledger.record, fetch, 1, (1,))

    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        tasks.start_soon(request, "spike")
        await settle()
        tasks.start_soon(request, "calm")
        await settle()
        answer.set()
    assert [(each.users, each.part) for each in ledger.queries] == [((1,), "spike")]
