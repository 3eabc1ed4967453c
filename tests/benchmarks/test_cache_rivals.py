"""What each cache does where a user expects something else; the page's table says the same."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from aiocache import cached_stampede
from cashews import Cache

from benchmarks._cache_claims import CLAIMS, Claim
from benchmarks._cache_probes import MANY, TTL, Source
from benchmarks._caches import KINDS, OURS, Kind
from benchmarks._virtual_time import BACKENDS, run_virtually

PAGE = Path(__file__).parents[2] / "docs" / "cache-rivals.md"
RIVALS = KINDS[1:]
SEEN: dict[str, dict[str, str]] = {
    "values expire": {},
    "each has a lifetime of its own (jitter)": {
        "aiocache": "all expire at once",
        "anyio lru_cache": "all expire at once",
        "dogpile.cache": "all expire at once",
    },
    "an old value is served while one load revalidates it": {
        "aiocache": "hangs",
        "async-lru": "hangs",
        "anyio lru_cache": "hangs",
    },
    "and none that is older than allowed": {
        "dogpile.cache": "gets 'a1'",
    },
    "a revalidation that fails is not tried at each hit": {
        "cashews": "asks 6 times, not 2",
        "aiocache": "gets KeptError",
        "async-lru": "gets KeptError",
        "anyio lru_cache": "gets KeptError",
        "dogpile.cache": "asks 6 times, not 2",
    },
    "an old value is served in place of an error": {
        "aiocache": "gets KeptError",
        "async-lru": "gets KeptError",
        "anyio lru_cache": "gets KeptError",
        "dogpile.cache": "gets KeptError",
    },
    "errors can be kept for a time": {
        "aiocache": "asks 2 times, not 1",
        "async-lru": "asks 2 times, not 1",
        "anyio lru_cache": "asks 2 times, not 1",
        "dogpile.cache": "asks 2 times, not 1",
    },
    "each who gets one gets an exception of its own": {
        "cashews": "all get one object",
        "aiocache": "asks 2 times, not 1",
        "async-lru": "asks 2 times, not 1",
        "anyio lru_cache": "asks 2 times, not 1",
        "dogpile.cache": "asks 2 times, not 1",
    },
    "a value in demand is fetched before it expires": {
        "aiocache": "not before it expires",
        "async-lru": "not before it expires",
        "anyio lru_cache": "not before it expires",
        "dogpile.cache": "not before it expires",
    },
    "the earlier the more it costs (Vattani et al.)": {
        "cashews": "cheap ones as early",
        "aiocache": "not before it expires",
        "async-lru": "not before it expires",
        "anyio lru_cache": "not before it expires",
        "dogpile.cache": "not before it expires",
    },
    "1,000 calls for a cold key: one execution": {},
    "1,000 calls for an expired key: one execution": {},
    "1,000 calls for work that fails: one execution": {
        "aiocache": "asks 1,000 times, not 1",
        "anyio lru_cache": "asks 1,000 times, not 1",
        "dogpile.cache": "asks 1,000 times, not 1",
    },
    "each gets an exception of its own": {
        "cashews": "all get one object",
        "async-lru": "all get one object",
    },
    "cancelling the first caller harms no other": {
        "cashews": "is cancelled",
        "aiocache": "gets 'a2'",
        "anyio lru_cache": "gets 'a2'",
    },
    "nor does cancelling another one": {
        "cashews": "is cancelled",
    },
    "work that all have left is stopped": {
        "dogpile.cache": "it runs on",
    },
    "1,000 calls that wait hold up no hit": {
        "dogpile.cache": "hangs",
    },
    "one key can be invalidated": {
        "anyio lru_cache": "gets 'b2'",
    },
    "an invalidation keeps a late result out": {
        "cashews": "gets 'a1'",
        "aiocache": "gets 'a1'",
        "dogpile.cache": "gets 'a1'",
    },
    "calls after it do not join a load before it": {
        "cashews": "gets 'a1'",
        "aiocache": "gets 'a1'",
        "dogpile.cache": "gets 'a1'",
    },
    "nor does the end of that harm them": {
        "cashews": "gets KeptError",
        "aiocache": "gets 'a3'",
        "async-lru": "gets 'a3'",
    },
    "values can be invalidated by tag": {
        "aiocache": "has no way to",
        "async-lru": "has no way to",
        "anyio lru_cache": "has no way to",
        "dogpile.cache": "has no way to",
    },
    "which keeps late results out": {
        "cashews": "gets 'ta1'",
        "aiocache": "has no way to",
        "async-lru": "has no way to",
        "anyio lru_cache": "has no way to",
        "dogpile.cache": "has no way to",
    },
    "which works in a full cache": {
        "cashews": "the value stays",
        "aiocache": "has no way to",
        "async-lru": "has no way to",
        "anyio lru_cache": "has no way to",
        "dogpile.cache": "has no way to",
    },
    "None and false values are kept": {
        "aiocache": "asks again for None",
    },
    "there are no more values than allowed": {
        "aiocache": "holds 100",
        "dogpile.cache": "holds 100",
    },
    "work that fails throws out no value": {
        "async-lru": "1 of 10 values are lost",
        "anyio lru_cache": "10 of 10 values are lost",
    },
    "expired values leave, though nobody asks": {
        "anyio lru_cache": "holds 50",
        "dogpile.cache": "holds 50",
    },
    "one can look without waiting (peek)": {
        "cashews": "has no way to",
        "aiocache": "has no way to",
        "async-lru": "has no way to",
        "anyio lru_cache": "has no way to",
    },
    "many keys in one call": {
        "cashews": "has no way to",
        "async-lru": "has no way to",
        "anyio lru_cache": "has no way to",
    },
    "which share a key that is being loaded": {
        "cashews": "has no way to",
        "aiocache": "asks for it 2 times",
        "async-lru": "has no way to",
        "anyio lru_cache": "has no way to",
        "dogpile.cache": "asks for it 2 times",
    },
    "values expire also in another event loop": {
        "aiocache": "gets 'a1'",
    },
    "it runs on Trio": {
        "cashews": "raises RuntimeError",
        "aiocache": "gets RuntimeError",
        "async-lru": "gets RuntimeError",
    },
}
"""For each claim what was seen of those that do not do it."""


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.title)
def test_anyflight_does_what_is_expected(claim: Claim, backend: str) -> None:
    assert not claim.see(OURS, backend)


@pytest.fixture(scope="module")
def _swept() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # or what is left behind would warn in another test


# A rival that fails leaves coroutines behind, and tasks whose error nobody takes. They may be
# collected in any test from here on.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_swept")
@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.title)
def test_a_rival_does_what_the_table_says(claim: Claim, rival: Kind) -> None:
    assert claim.see(rival, "asyncio") == SEEN[claim.title].get(rival.name, "")


@pytest.mark.filterwarnings("ignore")
def test_the_page_says_of_each_cache_what_was_seen() -> None:
    heads = ["", *(kind.name for kind in KINDS)]
    rows = [
        [claim.title, *("no" if kind.name in SEEN[claim.title] else "yes" for kind in KINDS)]
        for claim in CLAIMS
    ]
    table = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    assert "\n".join(table) in PAGE.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore")
def test_aiocache_shares_for_as_long_as_its_lease_alone() -> None:
    """Its default of two seconds is longer in `Aiocache`, or the table would be about that."""

    async def main() -> int:
        source = Source()
        source.seconds = 3
        get = cached_stampede(key_builder=lambda _, key: key)(source.load)
        async with anyio.create_task_group() as tasks:
            for _ in range(MANY):
                tasks.start_soon(get, "key")
        return len(source.loads)

    assert run_virtually("asyncio", main) == MANY


@pytest.mark.filterwarnings("ignore")
def test_cashews_finds_what_has_a_tag_if_tags_have_room_of_their_own() -> None:
    """By default they are entries like others, and are thrown out as these are."""

    async def main() -> int:
        source = Source()
        cache = Cache()
        cache.setup("mem://", size=10)
        cache.setup_tags_backend("mem://")
        await cache.init()
        tagged = cache(ttl=TTL, key="{key}", tags=("tag",))(source.load)
        other = cache(ttl=TTL, key="{key}")(source.load)
        for index in range(20):
            await tagged("a")
            await other(f"key{index}")
        await cache.delete_tags("tag")
        await tagged("a")
        await cache.close()
        return source.loads.count("a")

    assert run_virtually("asyncio", main) == 2
