"""Each query is written down under the part of the traffic whose request caused it."""

from __future__ import annotations

import anyio
import pytest

from anyflight import Coalescer
from demo.ledger import Execution, Ledger, cause
from demo.traffic import Part
from tests.support import settle

pytestmark = pytest.mark.anyio


async def test_an_answered_query_is_started_and_executed() -> None:
    ledger = Ledger()

    async def fetch(user_id: int) -> str:
        return f"row {user_id}"

    cause.set("calm")
    assert await ledger.record(fetch, 3) == "row 3"
    (execution,) = ledger.executions
    assert execution == Execution(3, "calm", execution.seconds)
    assert execution.seconds >= 0
    assert ledger.started == 1


async def test_a_failed_query_is_only_started() -> None:
    ledger = Ledger()

    async def fetch(_: int) -> None:
        raise OSError("down")

    cause.set("calm")
    with pytest.raises(OSError, match="down"):
        await ledger.record(fetch, 3)
    assert (ledger.started, ledger.executions) == (1, [])


async def test_a_coalesced_query_belongs_to_the_request_that_started_it() -> None:
    ledger, answer = Ledger(), anyio.Event()

    async def fetch(user_id: int) -> int:
        await answer.wait()
        return user_id

    async def request(part: Part) -> None:
        cause.set(part)
        await coalescer.execute(1, ledger.record, fetch, 1)

    async with Coalescer[int, int]() as coalescer, anyio.create_task_group() as tasks:
        tasks.start_soon(request, "spike")
        await settle()
        tasks.start_soon(request, "calm")
        await settle()
        answer.set()
    assert [(each.user_id, each.part) for each in ledger.executions] == [(1, "spike")]
