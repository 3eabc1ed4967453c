"""The lease: at most one execution at a time for one key in all processes that share a server."""

from __future__ import annotations

__all__ = ("Lease",)

from collections.abc import Awaitable, Callable, Hashable, Iterable
from functools import partial
from inspect import isawaitable
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, TypeVarTuple, Unpack, cast

from anyflight._checks import check_callable, check_instance, not_awaitable

from ._codec import Codec, JSONCodec
from ._core import Core
from ._events import LeaseInstrument
from ._outcomes import Terms
from ._settings import Settings
from ._statistics import LeaseStatistics
from ._store import LeaseStore

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Ts = TypeVarTuple("Ts")


class Lease(Generic[K]):
    """Lets calls for the same key share one execution across the processes that share a store.

    .. code-block:: python

        import anyio
        from anyflight import Coalescer
        from anyflight.lease import Lease, MemoryStore

        async def fetch_user(user_id: str) -> str:
            await anyio.sleep(0.01)
            return f"User {user_id}"

        async def main() -> None:
            async with Lease[str](MemoryStore()) as lease:
                async with Coalescer[str, str](across=lease) as users:
                    assert await users.execute("42", fetch_user, "42") == "User 42"
            assert lease.statistics().won == 1

        anyio.run(main)

    With a server in place of the :class:`MemoryStore`, see ``ValkeyLease``, the processes are those
    that use the same server and the same namespace.

    What is promised is efficiency: usually one execution, never a wait for a process or a server
    that is gone, never a result that is older than the call may use. It is not mutual exclusion. If
    the process that holds a lease is stopped for longer than ``ttl``, or the server loses its data,
    two executions overlap; see `fencing_number` for work that must know.

    Only work that would wait for its own key gets a :exc:`DeadlockError`. If work for one key calls
    for another, always go through keys in the same order, or give the calls a timeout; otherwise
    two processes can wait for each other for ever.

    Open it with ``async with``, as a :class:`Coalescer`, before those that use it: the block owns
    the subscription and the renewals. On leaving it normally, new calls are refused, and those that
    go on are waited for. If it is cancelled, or left by an error, calls that wait for others get a
    :exc:`FlightCancelledError`; work that runs goes on, but its lease is renewed no more.
    It may be made before a process is forked, if it is opened afterwards.

    :param store: the server
    :param ttl: how many seconds a lease lasts unless it is renewed, which is done after a third of
        that: how long the others wait for a process that was killed. Shorter is sooner; but a
        process whose event loop is blocked for nearly as long loses its lease
    :param codec: makes bytes of values; :class:`JSONCodec` by default
    :param encode_key: makes a string of a key, another for each. Without it keys must be strings
    :param poll_interval: after how many seconds at most a call that waits asks again, for messages
        can be lost
    :param outcome_ttl: how many seconds an outcome is stored, for those who wait for it. It should
        be a few times ``poll_interval``
    :param request_timeout: how many seconds the server may take for an answer
    :param retry_interval: how many seconds a server that could not be asked is left in peace
    :param max_value_bytes: values that are larger, encoded, are not shared
    :param on_lost: what becomes of work whose lease is lost: ``"cancel"`` cancels it, and the call
        waits for the successor's outcome, or runs the work once more, then to its end; ``"finish"``
        lets it go on, for those who wait here
    :param on_unreachable: what calls do if the server cannot be asked: ``"run"`` the work without
        it, or ``"raise"`` :exc:`LeaseUnavailableError`
    :param name: appears in messages and in event records
    :param instruments: told of leases and of outages, see :class:`LeaseInstrument`
    :raises TypeError: if an argument is of the wrong type
    :raises ValueError: if one is out of its range
    """

    def __init__(  # noqa: PLR0913 - policies are independent of each other
        self,
        store: LeaseStore,
        *,
        ttl: float = 10,
        codec: Codec[Any] | None = None,
        encode_key: Callable[[K], str] | None = None,
        poll_interval: float = 1,
        outcome_ttl: float = 5,
        request_timeout: float = 1,
        retry_interval: float = 1,
        max_value_bytes: int = 1024 * 1024,
        on_lost: Literal["cancel", "finish"] = "cancel",
        on_unreachable: Literal["run", "raise"] = "run",
        name: str = "lease",
        instruments: Iterable[LeaseInstrument] = (),
    ) -> None:
        settings = Settings(
            name=name,
            ttl=ttl,
            poll_interval=poll_interval,
            outcome_ttl=outcome_ttl,
            request_timeout=request_timeout,
            retry_interval=retry_interval,
            max_value_bytes=max_value_bytes,
            on_lost=on_lost,
            on_unreachable=on_unreachable,
        )
        check_instance(store, "store", LeaseStore)
        if codec is not None:
            check_instance(codec, "codec", Codec)
        if encode_key is not None:
            check_callable(encode_key, "encode_key")
        instruments = tuple(instruments)
        for instrument in instruments:
            check_instance(instrument, "each of instruments", LeaseInstrument)
        terms = Terms(
            JSONCodec() if codec is None else codec,
            keep=lambda _: outcome_ttl,
            wanted=False,
            error_keep=outcome_ttl,
        )
        label = f"{type(self).__name__} {name!r}"
        #: For what is built on leases; no concern of users.
        self.core: Core = Core(settings, store, terms, encode_key, label, instruments)

    def __repr__(self) -> str:
        return f"<{self.core.owner}, {self.core.counters.holding} held>"

    async def __aenter__(self) -> Self:
        """Open the lease: subscribe, or learn that the server cannot be asked for now.

        :raises LeaseConfigurationError: if the server is too old, or refuses the user or password
        """
        await self.core.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        """Close the lease: refuse new calls, and wait until those that go on have ended."""
        self.core.owner.check_entered()
        try:
            return await self.core.end(exc_val)
        finally:
            del exc_val, exc_tb  # whose frames may lead here

    async def execute(
        self,
        key: K,
        func: Callable[[Unpack[Ts]], Awaitable[V]],
        *args: Unpack[Ts],
        fresh: bool = False,
    ) -> V:
        """Return the value of ``func(*args)``, run by one of the calls for this key.

        If another call holds the lease of ``key``, in whatever process, this one waits for its
        outcome. Else it wins the lease and runs the function, in this task; meanwhile the lease is
        renewed. If it loses the lease, see ``on_lost``. If the server cannot be asked, it runs the
        function without it.

        If this call is cancelled, so is the function, if it is run by this call. The lease is given
        back: another call that waits runs its own function. A request that is under way is waited
        for, for ``request_timeout`` seconds at most.

        This is a checkpoint.

        :param key: says which calls may share a result, in all processes
        :param func: an async function, or another callable that returns an awaitable
        :param args: its positional arguments
        :param fresh: use no outcome of work that began before this call
        :raises Exception: what the function raised here
        :raises RemoteFlightError: if it failed in another process
        :raises DeadlockError: if this call is made by the work that it would wait for
        :raises LeaseUnavailableError: if the server cannot be asked, and ``on_unreachable`` is
            ``"raise"``. Its cause is the client's error, if this call has asked
        :raises FlightCancelledError: if the block of the lease is cancelled, or left by an error,
            while this call waits for another
        :raises anyio.ClosedResourceError: if the lease is closing or closed
        :raises RuntimeError: if it was never opened, or was opened in another event loop or thread
        :raises TypeError: if the key has no string to be named by, or an argument is of the wrong
            type
        :raises ValueError: if UTF-8 has no bytes for that string
        """
        check_callable(func, "func")
        core = self.core
        fetched = await core.take_part(key, partial(_called, func, args), core.terms, fresh=fresh)
        return cast("V", fetched.value)

    async def invalidate(self, key: K) -> None:
        """Void what is being done for a key, in all processes: its outcome will not be shared.

        Use it after a write, when results that were read before the write must not be joined.
        Work that runs goes on, for the calls that wait for it in its own process; all other calls,
        those that wait elsewhere included, get the outcome of work that begins after this.

        :raises LeaseUnavailableError: if the server cannot be asked, whatever ``on_unreachable``
            says: an invalidation that is not heard is none
        :raises anyio.ClosedResourceError: if the lease is closing or closed
        :raises RuntimeError: as `execute`
        :raises TypeError: as `execute`
        :raises ValueError: as `execute`
        """
        await self.core.asking.invalidate(key)

    def statistics(self) -> LeaseStatistics:
        """Return the counters, and what is there now."""
        return self.core.statistics()


async def _called(func: Callable[..., Awaitable[V]], args: tuple[Any, ...]) -> V:
    result: Any = func(*args)
    if not isawaitable(result):
        raise not_awaitable(func, result)
    value: V = await result
    return value
