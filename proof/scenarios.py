"""Small programs, one for each path through the coalescer: they are struck at every step.

Those with a policy are named after it.
"""

from __future__ import annotations

from proof.plans import NOW, Call, Delay, End, Forget, Policies, Program, Work

SOON, LATER, LATE = Delay(0.0, 2), Delay(0.25), Delay(0.5)

LONG = Work(lasts=LATE)
CLEANING = Work(lasts=LATE, cleanup=LATER)
AFTER_ALL = End("leave", Delay(2.0))


def _program(
    *calls: Call,
    forget: Delay | None = None,
    end: End = AFTER_ALL,
    finish: bool = False,
    copies: bool = False,
    policies: Policies = Policies(),  # noqa: B008 - it is frozen
) -> Program:
    return Program(
        calls=calls,
        forgets=() if forget is None else (Forget("a", forget),),
        end=end,
        on_abandon="finish" if finish else "cancel",
        copies=copies,
        policies=policies,
    )


def _call(at: Delay = NOW, work: Work = LONG, *, fresh: bool = False) -> Call:
    return Call(key="a", at=at, work=work, fresh=fresh)


FAILING = Work(lasts=LATER, ending="error")
DEAF = Work(lasts=Delay(1.0), cleanup=LATE, stubborn=True)

SCENARIOS = {
    "miss": _program(_call(work=Work(lasts=SOON))),
    "miss, work that never waits": _program(_call(work=Work())),
    "one after the other": _program(
        _call(work=Work(lasts=SOON)),
        Call(key="b", at=LATER, work=Work(lasts=SOON)),
        _call(LATE, work=Work(lasts=SOON)),
    ),
    "join": _program(_call(), _call(SOON), _call(LATER)),
    "join, abandoned work finishes": _program(_call(), _call(LATER), finish=True),
    "fresh, queued": _program(_call(), _call(SOON, fresh=True), _call(LATER, fresh=True)),
    "forget and join": _program(_call(), _call(LATER), _call(LATER, fresh=True), forget=LATER),
    "a new call during the clean-up": _program(
        Call(key="a", work=CLEANING, cancel=SOON), _call(LATER), _call(LATER)
    ),
    "a forgotten flight cleans up": _program(
        Call(key="a", work=CLEANING, cancel=LATER), _call(LATER), forget=SOON
    ),
    "error": _program(_call(work=Work(lasts=LATER, ending="error")), _call(SOON), _call(LATE)),
    "foreign cancellation": _program(
        _call(work=Work(lasts=LATER, ending="foreign")), _call(SOON), _call(SOON, fresh=True)
    ),
    "value in spite of cancellation": _program(
        _call(work=Work(lasts=LATER, stubborn=True, cleanup=SOON)), _call(SOON), _call(LATER)
    ),
    "copies": _program(_call(), _call(SOON), _call(SOON), copies=True),
    "timeout": _program(Call(key="a", work=LONG, timeout=0.25), _call(SOON)),
    "timeout and fallback": _program(
        Call(key="a", work=LONG, timeout=0.25, fallback=LATER), _call(SOON), _call(LATER)
    ),
    "nested calls": _program(
        _call(work=Work(lasts=SOON, calls=(Call(key="b", work=LONG), Call(key="c")))),
        Call(key="b", at=SOON, work=LONG),
    ),
    "nested calls together": _program(
        _call(work=Work(calls=(Call(key="b", work=LONG), Call(key="b")), together=True)),
        _call(SOON),
    ),
    "closing while joining": _program(
        _call(), _call(LATER), _call(LATER, fresh=True), end=End("leave", LATER)
    ),
    "closing while cleaning up": _program(
        _call(work=CLEANING), _call(SOON, fresh=True), end=End("leave", LATER)
    ),
    "owner cancelled": _program(
        _call(work=CLEANING), _call(SOON), _call(SOON, fresh=True), end=End("cancel", LATER)
    ),
    "owner cancelled natively": _program(
        _call(work=CLEANING), _call(SOON, fresh=True), end=End("cancel", LATER, "native")
    ),
    "owner fails": _program(
        _call(work=CLEANING), _call(SOON, fresh=True), _call(LATER), end=End("fail", LATER)
    ),
    "retry: fly once more, together": _program(
        _call(work=FAILING),
        _call(SOON),
        _call(SOON, work=FAILING),
        policies=Policies(retry_on=("error",)),
    ),
    "retry: no room in the queued flight": _program(
        _call(work=FAILING),
        _call(SOON),
        _call(SOON, work=Work(lasts=SOON), fresh=True),
        _call(SOON, work=Work(lasts=SOON), fresh=True),
        policies=Policies(retry_on=("error",), max_waiters=2),
    ),
    "limiter: a flight waits for its token": _program(
        Call(key="b", work=CLEANING, cancel=LATER),
        _call(SOON),
        _call(LATER),
        Call(key="c", at=LATER, work=Work(lasts=SOON)),
        policies=Policies(tokens=1),
    ),
    "limiter: work that calls has the only token": _program(
        _call(work=Work(lasts=LATER, calls=(Call(key="b", work=LONG),))),
        Call(key="b", at=SOON, work=Work(lasts=SOON)),
        policies=Policies(tokens=1),
    ),
    "deadline: work that ends with it": _program(
        _call(),
        _call(SOON, work=Work(lasts=SOON), fresh=True),
        Call(key="b", work=Work(lasts=LATER)),
        policies=Policies(flight_timeout=0.25),
    ),
    "deadline: work that ignores its cancellation": _program(
        _call(work=DEAF),
        _call(SOON, fresh=True),
        _call(LATER, work=Work(lasts=SOON)),
        policies=Policies(flight_timeout=0.25),
    ),
    "age: a flight too old to join": _program(
        _call(work=Work(lasts=Delay(1.0), cleanup=LATER)),
        _call(LATER, fresh=True),
        _call(LATE),
        _call(Delay(0.75)),
        policies=Policies(max_join_age=0.25),
    ),
    "age: a clean-up is never overtaken": _program(
        Call(key="a", work=Work(lasts=LATE, cleanup=LATE), cancel=LATER),
        _call(LATE),
        _call(LATE, fresh=True),
        policies=Policies(max_join_age=0.25),
    ),
    "full: a call is refused": _program(
        _call(), _call(SOON), _call(LATER), policies=Policies(max_waiters=2)
    ),
    "all policies together": _program(
        _call(work=Work(lasts=LATER, ending="error", cleanup=SOON)),
        _call(SOON, work=DEAF),
        _call(SOON),
        Call(key="b", at=SOON, work=CLEANING),
        _call(LATE, fresh=True),
        _call(Delay(0.75), work=Work(lasts=SOON)),
        policies=Policies(
            retry_on=("error", "timeout"),
            tokens=2,
            flight_timeout=0.5,
            max_join_age=0.25,
            max_waiters=2,
            listens=True,
        ),
    ),
}
