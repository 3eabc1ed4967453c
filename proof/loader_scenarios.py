"""Small programs, one for each path through the batch loader: they are struck at every step."""

from __future__ import annotations

from proof.loader_plans import Batch, Bounds, Load, LoaderProgram
from proof.plans import NOW, Delay, End, Forget

SOON, LATER, LATE = Delay(0.0, 2), Delay(0.25), Delay(0.5)

LONG = Batch(lasts=LATE)
CLEANING = Batch(lasts=LATE, cleanup=LATER)
AFTER_ALL = End("leave", Delay(3.0))


def _program(
    *calls: Load,
    batches: tuple[Batch, ...] = (LONG, LONG, LONG),
    forget: Delay | None = None,
    end: End = AFTER_ALL,
    copies: bool = False,
    bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
) -> LoaderProgram:
    return LoaderProgram(
        calls=calls,
        batches=batches,
        forgets=() if forget is None else (Forget("a", forget),),
        end=end,
        copies=copies,
        bounds=bounds,
    )


def _load(keys: str, at: Delay = NOW, *, fresh: bool = False) -> Load:
    """Return a call of `load`, for one key, or of `load_many`."""
    return Load(keys=tuple(keys), many=len(keys) > 1, at=at, fresh=fresh)


ONE_SLOT = Bounds(max_concurrent_batches=1)
PAIRS = Bounds(max_batch_size=2)

LOADER_SCENARIOS = {
    "one key": _program(_load("a"), batches=(Batch(lasts=SOON),)),
    "two keys, a function that never waits": _program(_load("a"), _load("b"), batches=(Batch(),)),
    "many keys": _program(_load("abc"), _load("cd", SOON), _load("a", LATER)),
    "a key joined, and another": _program(_load("a"), _load("b"), _load("b", LATER)),
    "fresh, queued": _program(_load("a"), _load("ab", SOON, fresh=True), _load("a", LATER)),
    "forget and join": _program(_load("ab"), _load("a", LATE), _load("b", LATE), forget=LATER),
    "a new call during the clean-up": _program(
        Load(keys=("a",), cancel=LATER),
        _load("a", LATE),
        _load("b", LATE),
        batches=(Batch(lasts=Delay(1.0), cleanup=LATE), LONG, LONG),
    ),
    "keys left out, and an error for one": _program(
        _load("abc"),
        _load("a"),
        _load("b"),
        batches=(Batch(lasts=LATER, without="a", failing="b"),),
    ),
    "an error": _program(_load("ab"), _load("b"), batches=(Batch(lasts=LATER, ending="error"),)),
    "no mapping": _program(_load("ab"), batches=(Batch(lasts=LATER, ending="nothing"),)),
    "foreign cancellation": _program(
        _load("a"), _load("ba", SOON, fresh=True), batches=(Batch(lasts=LATER, ending="foreign"),)
    ),
    "values in spite of cancellation": _program(
        _load("a"), _load("b"), batches=(Batch(lasts=LATER, stubborn=True, cleanup=SOON),)
    ),
    "copies": _program(_load("a"), _load("ab"), _load("ba", SOON), copies=True),
    "full batches": _program(_load("a"), _load("b"), _load("cd"), _load("a"), bounds=PAIRS),
    "a delay": _program(
        _load("a"), _load("b", LATER), _load("a", LATE), bounds=Bounds(max_delay=0.5)
    ),
    "a delay, and a full batch": _program(
        _load("a"),
        _load("b", LATER),
        _load("c", LATE),
        bounds=Bounds(max_delay=0.5, max_batch_size=2),
    ),
    "waiting for a slot": _program(
        _load("a"), _load("b", SOON), _load("c", LATER), _load("a", LATER), bounds=ONE_SLOT
    ),
    "waiting for a slot, with a delay": _program(
        _load("a"),
        _load("b", LATE),
        _load("c", Delay(0.75)),
        batches=(Batch(lasts=LATE, cleanup=LATER), LONG),
        bounds=Bounds(max_concurrent_batches=1, max_delay=0.25),
    ),
    "full batches wait for a slot": _program(
        _load("abcd"),
        _load("ab", LATER, fresh=True),
        bounds=Bounds(max_concurrent_batches=1, max_batch_size=1),
    ),
    "nested calls": _program(
        _load("a"),
        _load("b", LATER),
        batches=(Batch(lasts=SOON, calls=(_load("b"), _load("cb"))), LONG),
    ),
    "nested calls of the other loader": _program(
        _load("a"),
        _load("x", SOON),
        batches=(Batch(calls=(_load("xy"), _load("y")), together=True), LONG),
    ),
    "a circle through the only slot": _program(
        _load("a"), _load("c", SOON), batches=(Batch(calls=(_load("b"),)), LONG), bounds=ONE_SLOT
    ),
    "limiter: a batch waits for its token": _program(
        _load("a"),
        _load("b", SOON),
        _load("bc", LATER),
        batches=(CLEANING, LONG),
        bounds=Bounds(tokens=1),
    ),
    "deadline: a function that ignores its cancellation": _program(
        _load("a"),
        _load("a", SOON, fresh=True),
        _load("b", LATER),
        batches=(Batch(lasts=Delay(1.0), cleanup=LATE, stubborn=True), Batch(lasts=SOON)),
        bounds=Bounds(flight_timeout=0.25, max_concurrent_batches=1),
    ),
    "closing while a batch gathers": _program(
        _load("a"), _load("b", LATER), end=End("leave", LATE), bounds=Bounds(max_delay=1.0)
    ),
    "closing while keys wait": _program(
        _load("a"),
        _load("ab", SOON, fresh=True),
        _load("c", LATER),
        end=End("leave", LATER),
        bounds=ONE_SLOT,
    ),
    "owner cancelled": _program(
        _load("a"),
        _load("b", SOON),
        _load("a", SOON, fresh=True),
        batches=(CLEANING,),
        end=End("cancel", LATER),
        bounds=ONE_SLOT,
    ),
    "owner cancelled while a batch gathers": _program(
        _load("a"), _load("b", SOON), end=End("cancel", LATER), bounds=Bounds(max_delay=0.5)
    ),
    "owner fails": _program(
        _load("a"),
        _load("ab", SOON, fresh=True),
        batches=(CLEANING,),
        end=End("fail", LATER),
    ),
}
