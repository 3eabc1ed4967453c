"""Met or not met follows from the figures."""

from __future__ import annotations

import pytest

from benchmarks._page import page_of
from benchmarks._targets import targets_of
from tests.benchmarks.samples import document

JOINER = "9 joiners: at most 1.2 times the bare wait"
JOINER_RIVALS = "9 joiners: less than every cancel-safe rival"
CALL = "an uncontended call, quick work: at most 1.1 times the owned task"
MIXTURE = "9 calls: less than every cancel-safe rival"
KEY = "9 keys, one call for all: less than every loader"
HIT = "a hit: less than every cache"
EXPIRY = "9 calls: exactly one execution"
THEORY = "L = 9: executions within 3% of the theory"
CHECKS = "checks of a call: at most 0.1 of a joiner"
KEYS = (
    "a call with 10,000 keys in flight or more: at most 1.1 times as far from its floor as with "
    "fewer"
)


def missed(**figures: float) -> set[str]:
    targets = targets_of(document(**figures))
    assert [target.name for target in targets] == [
        JOINER,
        JOINER_RIVALS,
        CALL,
        MIXTURE,
        KEY,
        HIT,
        EXPIRY,
        THEORY,
        CHECKS,
        KEYS,
    ]
    return {target.name for target in targets if not target.scores["asyncio"].met}


def test_all_are_met_by_figures_within_the_limits() -> None:
    assert missed() == set()


@pytest.mark.parametrize(
    ("figures", "names"),
    [
        ({"joiner": 1.21}, {JOINER}),
        ({"joiner": 1.6, "safe": 1.55}, {JOINER, JOINER_RIVALS}),
        ({"call": 1.11}, {CALL}),
        ({"safe": 1.4}, {MIXTURE}),
        ({"key": 0.55}, {KEY}),
        ({"hit": 0.55}, {HIT}),
        ({"executions": 2}, {EXPIRY}),
        ({"theory": 0.96}, {THEORY}),
        ({"check": 0.11}, {CHECKS}),
        ({"last": 2.3}, {KEYS}),
    ],
)
def test_a_figure_beyond_its_limit_misses_its_target(
    figures: dict[str, float], names: set[str]
) -> None:
    assert missed(**figures) == names


def test_a_rival_that_is_not_cancel_safe_decides_nothing() -> None:
    (target,) = (each for each in targets_of(document()) if each.name == JOINER_RIVALS)
    assert target.scores["asyncio"].word == "of coalescer"
    assert target.scores["asyncio"].figure == pytest.approx(0.55)


def test_the_page_says_which_target_was_missed() -> None:
    assert f"| {JOINER} | met: 1.10 |" in page_of(document())
    assert f"| {JOINER} | **not met**: 1.30 |" in page_of(document(joiner=1.3))


def test_the_page_names_the_rivals_that_are_cheaper_and_no_others() -> None:
    page = page_of(document())
    costlier = page.partition("## Where anyflight costs more")[2].partition("\n## ")[0]
    assert "| oneflight | no | asyncio 2.10 | asyncio 2.20 | asyncio 3.00 |  |" in costlier
    assert "coalescer" not in costlier
    assert "dloader" not in costlier
    page = page_of(document(safe=0.5, key=0.6))
    costlier = page.partition("## Where anyflight costs more")[2].partition("\n## ")[0]
    assert "| coalescer | yes | asyncio 2.10 | asyncio 2.20 | asyncio 3.00 |  |" in costlier
    assert "| dloader | no |  | asyncio 1.20 |  |" in costlier
    assert "coalescer: the leader is a bare task" in costlier.replace("\n", " ")
