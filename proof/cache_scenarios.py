"""Small programs, one for each path through the cache: they are struck at every step."""

from __future__ import annotations

from proof.cache_plans import CacheProgram, Deed, Fetching, Options, Shelving, Use
from proof.plans import NOW, Delay, End

SOON, LATER, LATE = Delay(0.0, 2), Delay(0.25), Delay(0.5)
EXPIRED, LAST = Delay(1.25), Delay(2.5)

LONG = Fetching(lasts=LATE)
SHORT = Fetching(lasts=SOON)
CLEANING = Fetching(lasts=LATE, cleanup=LATER)
FAILING = Fetching(lasts=SOON, ending="error")
KEPT = Fetching(lasts=SOON, ending="kept")
AFTER_ALL = End("leave", Delay(4.0))

SLOW = Shelving(before=Delay(0.0, 1), after=Delay(0.0, 1))
STALE = Options(stale_while_revalidate=1.0)
SPARE = Options(stale_if_error=2.0, kept=0.5)
STORED = Options(store=SLOW)


def _program(
    *calls: Use,
    options: Options = Options(),  # noqa: B008 - it is frozen
    batches: tuple[Fetching, ...] = (LONG, LONG),
    end: End = AFTER_ALL,
) -> CacheProgram:
    return CacheProgram(calls=calls, options=options, batches=batches, end=end)


def _get(at: Delay = NOW, work: Fetching = LONG, *, key: str = "a", fresh: bool = False) -> Use:
    return Use(keys=(key,), at=at, work=work, fresh=fresh)


def _many(keys: str, at: Delay = NOW, *, fresh: bool = False) -> Use:
    return Use(do="get_many", keys=tuple(keys), at=at, fresh=fresh)


def _do(deed: Deed, at: Delay) -> Use:
    return Use(do=deed, at=at)


CACHE_SCENARIOS = {
    "a miss, and a hit": _program(_get(work=SHORT), _get(LATER), _do("peek", LATER)),
    "a miss that others join": _program(_get(), _get(SOON), _get(LATER)),
    "expired": _program(_get(work=SHORT), _get(EXPIRED), _get(EXPIRED)),
    "fresh": _program(_get(work=SHORT), _get(LATER, fresh=True), _get(LATER), _get(LATE)),
    "invalidated on its way": _program(_get(), _do("invalidate", LATER), _get(LATER)),
    "a tag invalidated": _program(_get(), _do("invalidate_tag", LATER), _get(LATER), _get(LATE)),
    "cleared": _program(_get(), _many("ab", LATER), _do("clear", LATER), _get(LATE)),
    "set on its way": _program(_get(), _do("set", LATER), _get(LATER), _get(LATE)),
    "a new call during the clean-up": _program(
        Use(work=CLEANING, cancel=LATER), _get(LATER), _get(LATE)
    ),
    "stale, and fetched in the background": _program(
        _get(work=SHORT), _get(EXPIRED), _get(EXPIRED), _get(Delay(1.5)), options=STALE
    ),
    "the background fails": _program(
        _get(work=SHORT), _get(EXPIRED, FAILING), _get(Delay(1.5), SHORT), options=STALE
    ),
    "closing while the background fetches": _program(
        _get(work=SHORT), _get(EXPIRED, CLEANING), options=STALE, end=End("leave", Delay(1.5))
    ),
    "cancelled while the background fetches": _program(
        _get(work=SHORT), _get(EXPIRED, CLEANING), options=STALE, end=End("cancel", Delay(1.5))
    ),
    "due early": _program(
        _get(), _get(LATE), _get(Delay(0.75)), _get(Delay(1.0)), options=Options(refresh_ahead=2.0)
    ),
    "a value in place of an error": _program(
        _get(work=SHORT), _get(EXPIRED, KEPT), _get(EXPIRED), _get(Delay(1.5)), options=SPARE
    ),
    "a value in place of that it took too long": _program(
        _get(work=SHORT),
        _get(EXPIRED, Fetching(lasts=Delay(1.0), stubborn=True, cleanup=SOON)),
        _get(EXPIRED),
        options=Options(stale_if_error=2.0, flight_timeout=0.5),
    ),
    "an error that is kept": _program(
        _get(work=KEPT), _get(SOON), _get(LATER), _get(LATE), options=Options(kept=0.5)
    ),
    "an error, and a second attempt": _program(
        _get(work=FAILING), _get(SOON, SHORT), _get(SOON, SHORT), options=Options(retries=True)
    ),
    "many keys": _program(_get(work=SHORT), _many("abc", LATER), _many("cd", LATE), _get(LATE)),
    "many keys, some without a value": _program(
        _many("ab"),
        _get(LATE, key="b"),
        _many("ab", Delay(0.75)),
        batches=(Fetching(lasts=LATER, without="b"), SHORT),
        options=Options(missing=0.5),
    ),
    "many keys, invalidated on their way": _program(
        _many("ab"), _do("invalidate", LATER), _many("ab", LATER), _get(LATE)
    ),
    "an entry leaves for another": _program(
        _get(work=SHORT),
        _get(LATER, SHORT, key="b"),
        _get(LATE, SHORT),
        options=Options(max_entries=1),
    ),
    "the work writes and fetches": _program(
        _get(
            work=Fetching(
                calls=(_do("invalidate", NOW), _get(key="b", work=SHORT), _do("set", SOON)),
                together=True,
            )
        ),
        _get(SOON),
    ),
    "the store is filled, and read": _program(
        _get(work=SHORT),
        _get(LATER, SHORT, key="b"),
        _get(LATE, SHORT),
        options=Options(max_entries=1, store=SLOW),
    ),
    "invalidated while it is stored": _program(
        _get(work=SHORT),
        _do("invalidate", LATER),
        _get(LATE),
        options=Options(store=Shelving(before=LATE, after=SOON)),
    ),
    "set, and invalidated while it is stored": _program(
        _do("set", NOW),
        _do("invalidate", SOON),
        _get(LATER),
        options=Options(store=Shelving(before=LATER, after=SOON)),
    ),
    "many keys from the store": _program(
        _many("ab"), _many("abc", LATE), _do("clear", LATER), _get(LATER), options=STORED
    ),
    "a store that fails": _program(
        _get(work=SHORT),
        _do("invalidate", LATER),
        _get(LATER, fresh=True),
        options=Options(store=Shelving(failing=("get", "set", "delete"))),
    ),
    "the owner is cancelled": _program(
        _get(work=CLEANING), _many("ab", SOON), _get(SOON, fresh=True), end=End("cancel", LATER)
    ),
    "the owner fails while values are stored": _program(
        _get(work=SHORT),
        _do("set", SOON),
        _many("bc", SOON),
        options=Options(store=Shelving(before=LATER, after=LATER)),
        end=End("fail", LATER),
    ),
}
