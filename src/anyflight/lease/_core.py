"""The machinery of a lease: opening and closing, taking part, and asking the server."""

from __future__ import annotations

__all__ = ("Core",)

from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakSet

from anyio import Event, Semaphore, TaskHandle

from anyflight._errors import DeadlockError, shortened
from anyflight._owner import Owner, Phase
from anyflight._telling import Telling

from ._errors import LeaseUnavailableError
from ._events import LeaseInstrument
from ._hearing import Hearing, Listener
from ._held import Held, Holdings, held_here
from ._outcomes import Terms
from ._participation import Participation
from ._requests import Requests, Unreachable
from ._settings import Settings
from ._shared import Fetched, Shared
from ._statistics import Counters
from ._store import LeaseStore, Outcome, OutcomeKind

T = TypeVar("T")

#: In place of a key, in the error of who wants all of them invalidated.
ALL: Final = "all keys"


class Core:
    """What :class:`Lease` gives to its users, and what is built on leases makes use of.

    :param label: what to call it in messages
    :param terms: those of the calls of `Lease.execute`
    """

    __slots__ = (
        "_encode_key",
        "_hearing",
        "_holdings",
        "_idle",
        "_keeper",
        "_requests",
        "_shared",
        "_store",
        "counters",
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
        self._store = store
        self._encode_key = encode_key
        self.owner: Owner = Owner(label)
        self.counters: Counters = Counters()
        owner, counters = self.owner, self.counters
        telling = Telling(settings.name, instruments)
        requests = self._requests = Requests(settings, label, counters, telling)
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
        name = self.name_of(key)
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
            setattr(counters, part.way, getattr(counters, part.way) + 1)
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

    async def read(self, key: Hashable) -> Outcome | None:
        """Return the outcome that is stored for a key, if there is one.

        :raises LeaseUnavailableError: if the server cannot be asked, or is to be left in peace
        """
        await self.owner.admit()
        if not self._requests.may_begin():
            raise _unavailable(key)
        read = partial(self._store.read, self.name_of(key))
        return await self._ask(self._requests.beginning, read, key)

    async def invalidate(self, key: Hashable) -> None:
        """Do as `Lease.invalidate`; those here are told at the end."""
        await self.owner.admit()
        await self._invalidate(self.name_of(key), key)

    async def invalidate_tagged(self, tag: str) -> None:
        """Do so for all keys that were given this tag."""
        await self.owner.admit()
        for name in await self.ask(partial(self._store.tagged, tag), tag):
            await self._invalidate(name, name)

    async def invalidate_all(self) -> None:
        """Do so for all keys, also for those of which the server knows nothing."""
        await self.owner.admit()
        try:
            async with aclosing(self._store.keys()) as names:
                while (name := await self.ask(partial(anext, names, None), ALL)) is not None:
                    await self._invalidate(name, name)
            await self.ask(partial(self._store.invalidate_all, self._hearing.origin), ALL)
        finally:
            self._hearing.tell(None)

    async def _invalidate(self, name: str, key: Hashable, by: Listener | None = None) -> None:
        request = partial(self._store.invalidate, name, self._hearing.origin)
        await self._void(name, key, request, by)

    async def _void(
        self, name: str, key: Hashable, request: Callable[[], Awaitable[None]], by: Listener | None
    ) -> None:
        held = self._holdings.of(name).copy()
        try:
            await self.ask(request, key)
        finally:
            self._hearing.tell(name, but=by)
        for each in held:
            each.voided = True

    async def replace(
        self, key: Hashable, value: Any, terms: Terms, *, keep: float, by: Listener
    ) -> None:
        """Do as `invalidate`, and store a value for all, if it can be shared.

        :param keep: for how many seconds
        :param by: who knows already, and is not told
        """
        await self.owner.admit()
        name, store, origin = self.name_of(key), self._store, self._hearing.origin
        outcome = self._shared.outcome_of(key, 0, value, terms.codec)
        if outcome.kind is OutcomeKind.VALUE:
            request = partial(store.replace, name, origin, outcome, keep=keep)
            await self._void(name, key, request, by)
        else:
            await self._invalidate(name, key, by)

    async def ask(self, request: Callable[[], Awaitable[T]], key: Hashable) -> T:
        """Return the answer to a request about a key that must not be passed over.

        :raises LeaseUnavailableError: if there is none
        """
        return await self._ask(self._requests.ending, request, key)

    async def _ask(self, turn: Semaphore, request: Callable[[], Awaitable[T]], key: Hashable) -> T:
        try:
            return await self._requests.ask_in_turn(turn, request)
        except Unreachable as exc:
            raise _unavailable(key) from exc.__cause__

    @property
    def store(self) -> LeaseStore:
        """The server, for requests of `ask`."""
        return self._store

    @property
    def reachable(self) -> bool:
        """Whether the server has answered lately, or has not been asked yet."""
        return self._requests.reachable

    @property
    def names_are_keys(self) -> bool:
        """Whether the server knows a key by itself."""
        return self._encode_key is None

    @property
    def listeners(self) -> WeakSet[Listener]:
        """Those who are told what has been invalidated, in whatever process."""
        return self._hearing.listeners

    def running(self, name: str) -> list[Held]:
        """Return the work that runs here for what the server knows by this name."""
        return self._holdings.of(name)

    def name_of(self, key: Hashable) -> str:
        """Return the string by which the server knows a key.

        :raises TypeError: if it has none
        :raises ValueError: if UTF-8 has no bytes for it
        """
        encode = self._encode_key
        name: object = key if encode is None else encode(key)
        if isinstance(name, str):
            try:
                name.encode()
            except UnicodeEncodeError:
                raise ValueError(f"UTF-8 has no bytes for key {shortened(key)}") from None
            return name
        if encode is None:
            raise TypeError(
                f"a key must be a string, not {shortened(key)}: give the lease an encode_key that "
                "makes another string of each key, as encode_key=str does of integers"
            )
        kind = type(name).__qualname__
        raise TypeError(f"encode_key must return a string, not an object of type {kind}")


def _unavailable(key: Hashable) -> LeaseUnavailableError:
    return LeaseUnavailableError(f"the server could not be asked about {shortened(key)}", key)
