"""What a worker does in a cell: it opens the strategy, and sends its part of one trace or more."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import anyio

from demo.ledger import Ledger
from demo.load import send_trace
from demo.measure import AccountedDatabase, ask
from examples.user_service.database import open_database
from fleet.site import Record, Site, record_of, user_of
from fleet.strategies import BY_NAME
from fleet.traffic import ROWS, WARM_UP_ROWS, warm_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.ledger import Fetch
    from demo.load import Sent
    from demo.strategies import Lookup
    from demo.traffic import Trace
    from examples.user_service.database import Database
    from examples.user_service.user import User
    from fleet.crew import Line
    from fleet.site import Lookup as RecordLookup
    from fleet.site import Setting

READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one process has observed while it sent its part of a trace."""

    sent: Sent
    ledger: Ledger
    fetches: Sequence[Fetch]
    """Of each user, as long as calls could share it."""
    end: float
    """When the last answer came, on `time.perf_counter`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A job: to be ready, then to send each trace that it is told, until it is told None.

    A trace comes with the time of its zero on `time.perf_counter`, which is the same clock in all
    processes of a machine.
    """

    setting: Setting
    dsn: str
    pool: int
    warm_up: float
    """Seconds."""
    position: int
    """Which of the processes this is, from 0 on."""

    async def carry_out(self, line: Line) -> None:
        """Do it."""
        async with open_database(self.dsn, pool_size=self.pool) as database:
            accounted = AccountedDatabase(database)
            site = Site(fetch=partial(_fetch_record, accounted), setting=self.setting)
            async with BY_NAME[self.setting.strategy].open(site) as look_up:
                lookup = partial(_get_user, look_up)
                await self._warm_up(database, lookup)
                line.say(READY)
                while (told := await line.hear()) is not None:
                    trace, start = told
                    line.say(await _send(trace, start, site, accounted, lookup))

    async def _warm_up(self, database: Database, lookup: Lookup) -> None:
        """Bring connections and interpreter to the state that they keep, as the demo does."""
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for user_id in range(1, self.pool + 1):
                    tasks.start_soon(database.fetch_user, user_id)
        # After those of the bursts.
        first = ROWS + 101 + WARM_UP_ROWS * self.position
        trace = warm_up(first=first, seconds=self.warm_up)
        await send_trace(trace, partial(ask, lookup), start=perf_counter())
        gc.collect()
        gc.freeze()


async def _send(
    trace: Trace, start: float, site: Site, accounted: AccountedDatabase, lookup: Lookup
) -> Report:
    accounted.ledger = Ledger()
    site.flights.fetches.clear()
    sent = await send_trace(trace, partial(ask, lookup), start=start)
    return Report(
        sent=sent,
        ledger=accounted.ledger,
        fetches=list(site.flights.fetches) or accounted.ledger.fetches(),
        end=perf_counter(),
    )


async def _fetch_record(database: AccountedDatabase, user_id: int) -> Record:
    user = await database.fetch_user(user_id)
    assert user is not None, f"there is no user {user_id}"
    return record_of(user)


async def _get_user(look_up: RecordLookup, user_id: int) -> User:
    return user_of(await look_up(user_id))
