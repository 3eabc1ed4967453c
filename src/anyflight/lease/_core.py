"""The machinery of a lease: opening and closing, and taking part."""

from __future__ import annotations

__all__ = ("Core",)

from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any
from weakref import WeakSet

from anyio import Event, TaskHandle

from anyflight._errors import DeadlockError, shortened
from anyflight._owner import Owner, Phase
from anyflight._telling import Telling

from ._asking import Asking
from ._events import LeaseInstrument
from ._hearing import Hearing, Listener
from ._held import Held, Holdings, held_here
from ._naming import Naming
from ._outcomes import Terms
from ._participation import Participation
from ._requests import Requests
from ._settings import Settings
from ._shared import Fetched, Shared
from ._statistics import Counters, LeaseStatistics
from ._store import LeaseStore


class Core:
    """What :class:`Lease` gives to its users, and what is built on leases makes use of.

    :param label: what to call it in messages
    :param terms: those of the calls of `Lease.execute`
    """

    __slots__ = (
        "_hearing",
        "_holdings",
        "_idle",
        "_keeper",
        "_shared",
        "asking",
        "counters",
        "naming",
        "owner",
        "terms",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - what Lease was given, checked
        self,
        settings: Settings,
        store: LeaseStore,
        terms: Terms,
        encode_key: Callable[[Any], str] | None,
        label: str,
        instruments: Iterable[LeaseInstrument],
    ) -> None:
        self.terms: Terms = terms
        self.owner: Owner = Owner(label)
        self.counters: Counters = Counters()
        owner, counters = self.owner, self.counters
        telling = Telling(settings.name, instruments)
        requests = Requests(settings, label, counters, telling)
        hearing = self._hearing = Hearing(settings, label, store, requests, counters)
        holdings = self._holdings = Holdings(settings, store, requests, owner, counters)
        hearing.listeners.add(holdings)
        self._shared = Shared(
            settings=settings,
            owner=owner,
            store=store,
            requests=requests,
            hearing=hearing,
            holdings=holdings,
            counters=counters,
            telling=telling,
        )
        self.naming: Naming = Naming(encode_key)
        self.asking: Asking = Asking(self._shared, self.naming)
        self._keeper: TaskHandle[None]
        #: Set when the last call has ended, while closing.
        self._idle: Event | None = None

    async def open(self) -> None:
        """Subscribe, or learn that the server cannot be asked for now.

        :raises LeaseConfigurationError: if it never will be
        """
        await self.owner.open()
        self._idle = None
        self._hearing.prepare()
        self._keeper = self.owner.start(
            self._hearing.keep(self.owner.is_abandoned), name=f"{self.owner.label} subscription"
        )
        try:
            await self._hearing.first_attempt()
        except BaseException as exc:
            await self.end(exc)
            raise

    async def end(self, exc: BaseException | None) -> bool:
        """End with the block; if that is left normally, wait for the calls that go on."""
        try:
            if exc is None:
                await self._until_idle()
            else:
                self._abort()
            self._keeper.cancel()
        except BaseException as cancellation:
            self._abort()
            await self.owner.close(cancellation)
            raise
        else:
            return await self.owner.close(exc)
        finally:
            self._holdings.clear()
            del exc  # whose frames may lead here

    async def _until_idle(self) -> None:
        self.owner.end_calls(Phase.CLOSING)
        if self.counters.taking_part:
            self._idle = Event()
            await self._idle.wait()
        self._holdings.end_if_idle()

    def _abort(self) -> None:
        """Let work go on without the lease, for other tasks run it; refuse calls that wait."""
        self.owner.end_calls(Phase.ABORTING)
        self._holdings.let_go()
        self._hearing.wake_all()

    def check_open(self) -> None:
        """Raise a :exc:`RuntimeError` unless this is open, and here."""
        if self.owner.phase is not Phase.OPEN:
            raise RuntimeError(
                f"{self.owner} is not open: open it with 'async with' before what uses it"
            )
        self.owner.check_loop()

    async def take_part(
        self,
        key: Hashable,
        work: Callable[[], Awaitable[Any]],
        terms: Terms,
        *,
        since: int = 0,
        fresh: bool = False,
    ) -> Fetched:
        """Do as `Lease.execute`, on these terms.

        :param since: the lowest epoch whose outcome may be used, even if it is there already
        """
        await self.owner.admit()
        name = self.naming.name_of(key)
        self._check_circle(key, name)
        counters = self.counters
        counters.calls += 1
        counters.taking_part += 1
        part = Participation(
            self._shared, terms, work, key=key, name=name, since=since, fresh=fresh
        )
        try:
            return await part.run()
        except Exception:
            raise
        except BaseException:
            part.way = "given_up"
            raise
        finally:
            counters.add(part.way)
            counters.taking_part -= 1
            if self._idle is not None and not counters.taking_part:
                self._idle.set()
            del part, work  # what is raised may be kept for long, and with it this frame

    def _check_circle(self, key: Hashable, name: str) -> None:
        chain = held_here(name, self._holdings.of(name))
        if chain is None:
            return
        circle = " -> ".join(map(shortened, [*chain, key]))
        message = f"the work for key {shortened(chain[0])} would wait for itself: {circle}"
        raise DeadlockError(message, key, (*chain, key))

    @property
    def listeners(self) -> WeakSet[Listener]:
        """Those who are told what has been invalidated, in whatever process."""
        return self._hearing.listeners

    def running(self, name: str) -> list[Held]:
        """Return the work that runs here for what the server knows by this name."""
        return self._holdings.of(name)

    def running_names(self) -> list[str]:
        """Return the names for which work runs here."""
        return self._holdings.names()

    def statistics(self) -> LeaseStatistics:
        """Return the counters, and what is there now."""
        return self.counters.statistics(reachable=self.asking.reachable)
