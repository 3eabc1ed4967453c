"""What each loader does where a user expects something else; the page's table says the same."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks._backends import available_backends
from benchmarks._claims import CLAIMS, Claim
from benchmarks._loaders import LOADERS, OURS, Loader

PAGE = Path(__file__).parents[2] / "docs" / "loader.md"
RIVALS = LOADERS[1:]
SEEN: dict[str, dict[str, str]] = {
    "calls for one key share its load": {
        "async-cache": "asks for it 3 times",
        "batchlet": "asks for it 3 times",
    },
    "also where values are not remembered": {
        "aiodataloader": "asks for it 3 times",
        "strawberry": "asks for it 3 times",
        "async-cache": "asks for it 3 times",
        "batchlet": "asks for it 3 times",
    },
    "cancelling a caller harms no other of its key": {
        "aiodataloader": "is cancelled",
        "strawberry": "is cancelled",
        "dloader": "is cancelled",
        "async-cache": "hangs",
    },
    "nor those of other keys in its batch": {
        "async-cache": "gets InvalidStateError",
    },
    "after a caller was cancelled all keys can be asked for": {
        "aiodataloader": "is cancelled for ever",
        "dloader": "is cancelled",
        "async-cache": "hangs for ever",
    },
    "a key that all have left before its batch goes is not asked for": {
        "aiodataloader": "asks for it 1 times",
        "strawberry": "asks for it 1 times",
        "dloader": "asks for it 1 times",
        "async-cache": "hangs",
    },
    "a batch that all have left is stopped": {
        "aiodataloader": "it runs on",
        "dloader": "it runs on",
        "async-cache": "it runs on",
        "batchlet": "it runs on",
    },
    "a batch that raises: each caller gets an exception of its own": {
        "aiodataloader": "all get one object",
        "strawberry": "all get one object",
        "dloader": "all get one object",
        "async-cache": "all get one object",
        "batchlet": "all get one object",
    },
    "and its keys can be asked for again": {
        "strawberry": "gets SourceError",
    },
    "the error of one key is raised for that key alone": {
        "async-cache": "it is returned as a value",
        "batchlet": "it is returned as a value",
    },
    "and not remembered": {
        "aiodataloader": "gets SourceError",
        "strawberry": "gets SourceError",
        "async-cache": "gets SourceError('b')",
    },
    "a key that is absent from what a batch returns fails alone": {
        "aiodataloader": "the others: gets TypeError",
        "strawberry": "the others: gets WrongNumberOfResultsReturned",
        "dloader": "the others: gets ValueError",
        "async-cache": "gets None",
        "batchlet": "the others: gets BatchResultError",
    },
    "a batch that ends by a cancellation: its callers get an error": {
        "aiodataloader": "hangs",
        "strawberry": "hangs",
        "dloader": "is cancelled",
        "async-cache": "hangs",
    },
    "a batch can load other keys of the loader": {
        "async-cache": "hangs",
    },
    "a batch that waits for itself is told so": {
        "aiodataloader": "hangs",
        "strawberry": "hangs",
        "dloader": "hangs",
        "async-cache": "hangs",
        "batchlet": "hangs",
    },
    "no batch is larger than allowed, no key is lost": {},
    "as many batches run at once as allowed": {
        "aiodataloader": "6 at once",
        "strawberry": "6 at once",
        "dloader": "6 at once",
        "async-cache": "1 at once",
    },
    "while no more may run, keys gather for the next": {
        "aiodataloader": "4 batches",
        "strawberry": "4 batches",
        "dloader": "4 batches",
    },
    "a batch waits for more keys as long as told": {
        "aiodataloader": "2 batches",
        "strawberry": "2 batches",
        "dloader": "2 batches",
    },
    "closing leaves no batch behind": {
        "aiodataloader": "it runs on",
        "strawberry": "it runs on",
        "async-cache": "it runs on",
    },
    "it can be used in one event loop after another": {
        "aiodataloader": "gets RuntimeError",
        "strawberry": "gets RuntimeError",
        "dloader": "gets RuntimeError",
        "batchlet": "raises RuntimeError",
    },
    "it runs on Trio": {
        "aiodataloader": "raises RuntimeError",
        "strawberry": "gets RuntimeError",
        "dloader": "raises RuntimeError",
        "async-cache": "gets RuntimeError",
        "batchlet": "raises RuntimeError",
    },
}
"""For each claim what was seen of those that do not do it."""


@pytest.mark.parametrize(
    ("claim", "backend"),
    [
        pytest.param(claim, backend, id=f"{claim.title}-{backend}")
        for claim in CLAIMS
        for backend in available_backends()
        if backend in claim.backends
    ],
)
def test_anyflight_does_what_is_expected(claim: Claim, backend: str) -> None:
    assert not claim.see(OURS, backend)


@pytest.fixture(scope="module")
def _swept() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # or what is left behind would warn in another test


# A rival that fails leaves coroutines behind, and loops that it has made for itself.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_swept")
@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.title)
def test_a_rival_does_what_the_table_says(claim: Claim, rival: Loader) -> None:
    assert claim.see(rival, "asyncio") == SEEN[claim.title].get(rival.name, "")


def test_the_page_says_of_each_loader_what_was_seen() -> None:
    heads = ["", *(loader.name for loader in LOADERS)]
    rows = [
        [claim.title, *("no" if each.name in SEEN[claim.title] else "yes" for each in LOADERS)]
        for claim in CLAIMS
    ]
    table = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    assert "\n".join(table) in PAGE.read_text(encoding="utf-8")
