"""Leases keep their promises over a network and a server that do not, whatever the seed."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from anyflight.lease import Hit, MemoryStore, Outcome, OutcomeKind, Won
from proof.checking import check
from proof.history import FOREVER, Instant
from proof.lease.freezer import Freezer, living_in
from proof.lease.history import LeaseHistory, Lived
from proof.lease.plans import (
    Call,
    Invalidation,
    LeaseProgram,
    Net,
    Process,
    Times,
    Trouble,
    Work,
)
from proof.lease.programs import random_lease_program
from proof.search import failures
from proof.trio_schedule import seeded_schedule

SEEDS = 2000
PARTS = 5


def played(program: LeaseProgram) -> LeaseHistory:
    """Return the history of a program in which nothing is wrong."""
    history, found = check(program, backend="trio", seed=0)
    assert isinstance(history, LeaseHistory)
    assert not found
    return history


@pytest.mark.parametrize("part", range(PARTS))
def test_every_law_holds_whatever_the_seed(part: int) -> None:
    seeds = range(part * SEEDS // PARTS, (part + 1) * SEEDS // PARTS)
    found = next(failures("trio", seeds, random_lease_program), None)
    assert found is None, str(found)


def test_calls_of_several_processes_share_one_execution() -> None:
    call = Call(work=Work(lasts=1.0))
    history = played(LeaseProgram(processes=(Process(calls=(call,)),) * 5))
    assert len(history.executions) == 1
    assert len({str(each.outcome) for each in history.calls}) == 1


def test_one_of_those_who_wait_takes_over_from_a_process_that_was_killed() -> None:
    times = Times(ttl=2.0, poll_interval=0.5)
    call = Call(work=Work(lasts=3.0))
    history = played(
        LeaseProgram(
            processes=(
                Process(calls=(call,)),
                *[Process(calls=(Call(at=0.25, work=Work(lasts=1.0)),))] * 3,
            ),
            troubles=(Trouble(kind="kill", whom=0, at=1.0),),
            times=times,
        )
    )
    first, second = history.executions
    assert first.process.number == 0
    assert first.ended is FOREVER
    last_renewal = 2 / 3
    assert 0 <= second.began.time - last_renewal - times.ttl <= times.poll_interval
    assert [each.outcome for each in history.calls[1:]] == [
        {"of": 1, "ending": "value", "more": None}
    ] * 3


def test_a_process_that_was_paused_for_too_long_is_fenced_out() -> None:
    history = played(
        LeaseProgram(
            processes=(
                Process(calls=(Call(work=Work(lasts=1.5)),), on_lost="finish"),
                Process(calls=(Call(at=0.5, work=Work(lasts=3.0)),)),
            ),
            troubles=(Trouble(kind="pause", whom=0, at=1.0, lasts=2.5),),
            times=Times(ttl=1.0, poll_interval=0.5),
        )
    )
    commits = [(ask.process.number, ask.answer) for ask in history.asks if ask.method == "commit"]
    assert commits == [(0, False), (1, True)]


def test_a_process_with_a_fast_clock_does_everything_sooner() -> None:
    program = LeaseProgram(
        processes=(
            Process(calls=(Call(work=Work(lasts=4.25)),), rate=1.25),
            Process(calls=(Call(work=Work(lasts=3.5), key="b"),)),
        ),
        times=Times(ttl=3.0),
    )
    history, _ = check(program, backend="trio", seed=0)
    assert isinstance(history, LeaseHistory)
    renewals: dict[int, list[float]] = {}
    for ask in history.asks:
        if ask.method == "renew":
            renewals.setdefault(ask.process.number, []).append(ask.sent.time)
            assert ask.args["ttl"] == pytest.approx(3.0)  # by the server's clock
    assert renewals[0] == pytest.approx([0.8, 1.6, 2.4, 3.2, 4.0])
    assert renewals[1] == pytest.approx([1.0, 2.0, 3.0])


def test_what_is_lost_on_the_way_is_waited_for_no_longer_than_was_said() -> None:
    history = played(
        LeaseProgram(
            processes=(Process(calls=(Call(),)),), net=Net(lost_requests=1.0), times=Times()
        )
    )
    (one,) = history.executions
    assert one.epoch == 0  # without a lease
    assert not history.server


def test_a_server_that_forgets_counts_epochs_on() -> None:
    work = Work(lasts=0.25)
    calls = tuple(Call(at=at, work=work) for at in (0.0, 1.0, 2.0))
    history = played(
        LeaseProgram(processes=(Process(calls=calls),), troubles=(Trouble(kind="forget", at=0.5),))
    )
    first, second, third = (one.epoch for one in history.executions)
    assert first < 500_000 <= second < third


def test_a_call_after_an_invalidation_gets_what_began_since() -> None:
    writing = Invalidation(at=0.5, then=Call(work=Work(lasts=1.0)))
    history = played(
        LeaseProgram(
            processes=(
                Process(calls=(Call(work=Work(lasts=1.0)),)),
                Process(invalidations=(writing,), coalesces=True),
            )
        )
    )
    first, second = history.executions
    assert (first.process.number, second.process.number) == (0, 1)


def test_the_smallest_program_of_all_is_over_at_once() -> None:
    assert played(LeaseProgram(processes=())).over.time == 0


def test_a_frozen_process_makes_no_step_until_it_goes_on() -> None:
    steps: list[tuple[int, float]] = []
    processes = [Lived(number, Process()) for number in range(2)]

    async def live(process: Lived) -> None:
        living_in.set(process)
        for _ in range(4):
            await trio.sleep(1)
            steps.append((process.number, trio.current_time()))

    async def main() -> None:
        freezer = Freezer()
        async with trio.open_nursery() as nursery:
            for process in processes:
                nursery.start_soon(live, process)
            await trio.sleep(1.5)
            freezer.freeze(processes[0])
            await trio.sleep(3)
            freezer.thaw(processes[0])
            freezer.thaw(processes[0])  # once is enough

    with seeded_schedule(0):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert [when for number, when in steps if number == 0] == [1, 4.5, 5.5, 6.5]
    assert [when for number, when in steps if number == 1] == [1, 2, 3, 4]


def test_nothing_is_heard_of_who_was_killed() -> None:
    history = played(
        LeaseProgram(
            processes=(Process(calls=(Call(work=Work(lasts=1.0)),)), Process()),
            troubles=(Trouble(kind="kill", whom=0, at=0.5),),
        )
    )
    (call,) = history.calls
    assert call.ended is FOREVER
    assert history.processes[0].killed == Instant(history.processes[0].killed.tick, 0.5)
    assert all(ask.sent.time <= 0.5 for ask in history.asks)


def test_the_store_of_the_simulation_is_the_one_of_the_package() -> None:
    """What is proved here is proved of it."""
    history = played(
        LeaseProgram(processes=(Process(calls=(Call(work=Work(lasts=1.0)), Call(at=0.5))),))
    )
    answers = [type(ask.answer) for ask in history.asks if ask.method == "acquire"]
    assert answers[0] is Won
    assert answers[-1] is Hit
    assert history.asks[-1].answer == Hit(
        Outcome(1, OutcomeKind.VALUE, b'{"of":0,"ending":"value","more":null}')
    )
    assert MemoryStore.acquire.__module__ == "anyflight.lease._memory_store"
