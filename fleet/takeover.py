"""What happens when the process that runs the work is killed: who goes on, when, and how many.

The work of the process that is killed never ends. Some other processes ask for the same key while
it runs; their work ends at once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import anyio

from demo.ledger import cause
from fleet.crew import crew
from fleet.site import Record, Setting, Site
from fleet.strategies import BY_NAME
from fleet.traffic import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleet.cell import Servers
    from fleet.crew import Line, Worker
    from fleet.plan import Plan
    from fleet.strategies import Strategy

READY = "ready"

SETTLING = 0.05
"""Seconds that the others have for their calls before the first process may be killed."""

LIMIT = 5.0
"""How many times the TTL the others are waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leading:
    """A job that never ends: run the work for one key. Says when it began."""

    setting: Setting
    user_id: int

    async def carry_out(self, line: Line) -> None:
        """Do it."""

        async def fetch(_user_id: int) -> NoReturn:
            line.say(perf_counter())
            await anyio.sleep_forever()
            raise AssertionError

        cause.set("spike")
        site = Site(fetch=fetch, setting=self.setting)
        async with (
            BY_NAME[self.setting.strategy].open(site) as look_up,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(look_up, self.user_id)
            await line.hear()  # there is nothing to hear, but that who killed us has gone


class Execution(NamedTuple):
    """That the work ran."""

    user_id: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """A job: ask for each user that it is told, and say who ran the work, when told None."""

    setting: Setting
    calls: int

    async def carry_out(self, line: Line) -> None:
        """Do it."""
        executions: list[Execution] = []

        async def fetch(user_id: int) -> Record:
            executions.append(Execution(user_id, perf_counter()))
            return [user_id]

        cause.set("spike")
        site = Site(fetch=fetch, setting=self.setting)
        async with BY_NAME[self.setting.strategy].open(site) as look_up:
            line.say(READY)
            async with anyio.create_task_group() as tasks:
                while (user_id := await line.hear()) is not None:
                    for _ in range(self.calls):
                        tasks.start_soon(look_up, user_id)
                tasks.cancel_scope.deadline = anyio.current_time() + LIMIT * self.setting.ttl
        line.say(executions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """One process that was killed."""

    seconds: float | None
    """From the kill to the next execution; None if there was none."""
    executions: int
    """After the kill, one of them the successor's."""
    not_waiting: int
    """Executions while the process that was killed still ran the work."""


def measure_takeovers(strategy: Strategy, plan: Plan, servers: Servers) -> list[Takeover]:
    """Kill so many processes."""
    servers.valkey.command("FLUSHALL")
    random_numbers = random.Random(plan.takeovers)
    found: list[Takeover] = []
    while len(found) < plan.takeovers:
        count = min(plan.at_once, plan.takeovers - len(found))
        users = range(ROWS + len(found) + 1, ROWS + len(found) + 1 + count)
        found += _some_takeovers(strategy, plan, servers, users, random_numbers)
    return found


def _some_takeovers(
    strategy: Strategy,
    plan: Plan,
    servers: Servers,
    users: Sequence[int],
    random_numbers: random.Random,
) -> list[Takeover]:
    setting = servers.setting(strategy, ttl=plan.takeover_ttl)
    with crew(plan.followers) as followers, crew(len(users)) as leaders:
        for follower in followers:
            follower.say(Following(setting=setting, calls=plan.follower_calls))
        for follower in followers:
            follower.hear()  # that it is ready
        for leader, user_id in zip(leaders, users, strict=True):
            leader.say(Leading(setting=setting, user_id=user_id))
        doomed: list[tuple[float, int]] = []
        for position, (leader, user_id) in enumerate(zip(leaders, users, strict=True)):
            leader.hear()  # that it runs the work
            for follower in followers:
                follower.say(user_id)
            # At any point between two renewals of a lease.
            after = SETTLING + random_numbers.uniform(0, plan.takeover_ttl / 3)
            doomed.append((perf_counter() + after, position))
        kills = dict(_kill(leaders, users, sorted(doomed)))
        for follower in followers:
            follower.say(None)
        executions: list[Execution] = [each for one in followers for each in one.hear()]
    return [_takeover(kills[user_id], user_id, executions) for user_id in users]


def _kill(
    leaders: Sequence[Worker], users: Sequence[int], doomed: Sequence[tuple[float, int]]
) -> Iterator[tuple[int, float]]:
    """Kill each when its time has come; yield its user, and when it was."""
    for due, position in doomed:
        sleep(max(0.0, due - perf_counter()))
        at = perf_counter()
        leaders[position].kill()
        yield users[position], at


def _takeover(killed: float, user_id: int, executions: Sequence[Execution]) -> Takeover:
    times = sorted(each.at for each in executions if each.user_id == user_id)
    after = [at for at in times if at >= killed]
    return Takeover(
        seconds=after[0] - killed if after else None,
        executions=len(after),
        not_waiting=len(times) - len(after),
    )
