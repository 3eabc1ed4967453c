"""Rounds are paired and rotate; medians and quartiles are of ratios within a round."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import anyio
import pytest

from benchmarks._backends import available_backends, run_on
from benchmarks._crowd import Call, time_together
from benchmarks._measure import Spread, measure, spread
from tests.benchmarks.samples import result


@pytest.fixture(autouse=True)
def nothing_old_to_collect() -> Iterator[None]:
    """Before each measurement all garbage is collected: let that not walk through all tests."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def recording(order: list[str], names: str) -> dict[str, Callable[[], Awaitable[float]]]:
    async def case(name: str) -> float:
        order.append(name)
        return float(len(order))

    return {name: partial(case, name) for name in names}


@pytest.mark.anyio
async def test_the_order_of_the_cases_rotates() -> None:
    order: list[str] = []
    samples = await measure(recording(order, "abc"), rounds=3)
    assert "".join(order) == "abcbcacab"
    assert samples == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}


@pytest.mark.anyio
async def test_what_is_measured_seldom_sits_out_three_rounds_of_four() -> None:
    order: list[str] = []
    samples = await measure(recording(order, "ab"), rounds=7, seldom={"b"})
    assert [each is None for each in samples["b"]] == [False, True, True, True, False, True, True]
    assert None not in samples["a"]


def test_a_ratio_is_taken_within_each_round() -> None:
    one = result("q", "label", "floor", {"floor": [1, 10, 100], "case": [2, 30, 400]})
    assert one.ratio("case", "floor") == Spread(median=3, low=2.5, high=3.5)
    assert one.figure("case").median == 30


def test_rounds_that_a_case_sat_out_do_not_count() -> None:
    one = result("q", "label", "floor", {"floor": [1, 10, 100], "case": [2, None, 400]})
    assert one.ratio("case", "floor").median == 3
    assert one.ratio("floor", "case").median == 0.375


def test_one_figure_is_its_own_spread() -> None:
    assert spread([5.0]) == Spread(5, 5, 5)


@pytest.mark.parametrize("backend", available_backends())
def test_callers_that_do_not_end_as_they_should_are_no_figure(backend: str) -> None:
    async def one(call: Call, key: str, ended: list[object]) -> None:
        value = await call(key)
        if key != "lost":
            ended.append(value)

    async def main() -> None:
        gate = anyio.Event()
        keys = ["lost", "kept", "lost"]
        with pytest.raises(RuntimeError, match="2 of 3 calls went wrong"):
            await time_together(backend, lambda _: gate.wait(), keys, gate, one=one)

    run_on(backend, main)
