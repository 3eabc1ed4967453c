"""The check of cancel-safety finds what is wrong with each way to do it wrong."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from benchmarks import _rivals
from benchmarks._backends import available_backends, run_on
from benchmarks._crowd import Call
from benchmarks._rivals import RIVALS, Rival, Verdict, Work, check_cancel_safety

BACKENDS = available_backends()


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rivals, "PATIENCE", 0.2)


def checked(backend: str, call_of: Callable[[Work], Call]) -> Verdict:
    @asynccontextmanager
    async def opened(work: Work) -> AsyncGenerator[Call, None]:
        yield call_of(work)

    return run_on(backend, check_cancel_safety, Rival(name="probe", open=opened), backend)


def verdict_of(name: str, backend: str) -> Verdict:
    (rival,) = (each for each in RIVALS if each.name == name)
    return run_on(backend, check_cancel_safety, rival, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_anyflight_is_cancel_safe(backend: str) -> None:
    assert verdict_of("anyflight", backend) == Verdict(safe=True, finding="")


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_shares_nothing_is_found_out(backend: str) -> None:
    assert checked(backend, lambda work: work) == Verdict(safe=False, finding="200 executions")


@pytest.mark.parametrize("backend", BACKENDS)
def test_callers_that_hang_are_found_out(backend: str) -> None:
    def call_of(work: Work) -> Call:
        done: list[anyio.Event] = []

        async def call(key: str) -> Any:
            if done:
                await done[0].wait()
                return key
            done.append(anyio.Event())
            value = await work(key)  # in the first caller: cancelled, it wakes nobody
            done[0].set()
            return value

        return call

    assert checked(backend, call_of) == Verdict(safe=False, finding="199 of 199 hang")


@pytest.mark.parametrize("backend", BACKENDS)
def test_callers_that_get_an_error_are_found_out(backend: str) -> None:
    def call_of(work: Work) -> Call:
        running: list[str] = []

        async def call(key: str) -> Any:
            if running:
                raise RuntimeError("busy")
            running.append(key)
            return await work(key)

        return call

    assert checked(backend, call_of) == Verdict(safe=False, finding="199 of 199 get an error")


@pytest.mark.parametrize("name", ["dict of futures", "oneflight", "cashews"])
def test_a_cancellation_that_spreads_is_found_out(name: str) -> None:
    finding = "199 of 199 are cancelled"
    assert verdict_of(name, "asyncio") == Verdict(safe=False, finding=finding)


@pytest.mark.parametrize("backend", BACKENDS)
def test_work_that_is_left_behind_is_found_out(backend: str) -> None:
    @asynccontextmanager
    async def opened(work: Work) -> AsyncGenerator[Call, None]:
        async with anyio.create_task_group() as tasks:
            handles: list[anyio.TaskHandle[Any]] = []

            async def call(key: str) -> Any:
                if not handles:
                    handles.append(tasks.start_soon(work, key))
                await handles[0].wait()
                return key

            yield call

    verdict = run_on(backend, check_cancel_safety, Rival(name="probe", open=opened), backend)
    assert verdict == Verdict(safe=False, finding="work that everybody left runs on")
