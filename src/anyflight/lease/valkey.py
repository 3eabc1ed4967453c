"""The lease on a Valkey or Redis server, through coredis.

It is the one module here that needs more than anyio: ``pip install anyflight[valkey]``. coredis is
the client because it is built on anyio, and so runs on asyncio and Trio.
"""

from __future__ import annotations

__all__ = ("ValkeyLease", "ValkeyStore")

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable
from contextlib import aclosing
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from coredis import Redis, RedisCluster
from coredis.commands import Script
from coredis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ResponseError,
    UnknownCommandError,
)
from coredis.retry import NoRetryPolicy

from anyflight._checks import check_instance

from . import _scripts
from ._codec import Codec
from ._errors import LeaseConfigurationError, RequestRefusedError
from ._events import LeaseInstrument
from ._lease import Lease
from ._settings import LONGEST
from ._store import Acquired, Busy, Hear, Hit, Notice, Outcome, OutcomeKind, Won

K = TypeVar("K", bound=Hashable)
Client: TypeAlias = Redis[Any] | RedisCluster[Any]

#: The oldest server that is tested. Valkey began as Redis 7.2, and says so.
OLDEST: Final = (7, 0)
FEWEST_CONNECTIONS: Final = 2
KINDS: Final = {kind.value: kind for kind in OutcomeKind}
NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.-]+")


class ValkeyLease(Lease[K]):
    """A :class:`Lease` on a Valkey or Redis server.

    ``client`` is one of coredis, opened by its own ``async with`` before this. A server that is not
    there, then or later, is no error: calls run without it, and it is tried again. A server that
    will never do is one, on entering this: one that is too old, or that refuses the user or the
    password.

    :param client: for a single server, or for a cluster
    :param namespace: what the keys on the server begin with, after ``anyflight:``, and the name of
        the channel. Leases of the same namespace share executions, so they must mean the same by
        the same key, and have the same codec. Letters, digits and ``_.-``
    :param ttl: this and all other options: see :class:`Lease`
    """

    def __init__(  # noqa: PLR0913 - as for `Lease`
        self,
        client: Client,
        *,
        namespace: str,
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
        name: str | None = None,
        instruments: Iterable[LeaseInstrument] = (),
    ) -> None:
        super().__init__(
            ValkeyStore(client, namespace),
            ttl=ttl,
            codec=codec,
            encode_key=encode_key,
            poll_interval=poll_interval,
            outcome_ttl=outcome_ttl,
            request_timeout=request_timeout,
            retry_interval=retry_interval,
            max_value_bytes=max_value_bytes,
            on_lost=on_lost,
            on_unreachable=on_unreachable,
            name=namespace if name is None else name,
            instruments=instruments,
        )


class ValkeyStore:
    """A :class:`LeaseStore` on a Valkey or Redis server."""

    def __init__(self, client: Client, namespace: str) -> None:
        given = cast("object", client)
        if not isinstance(given, Redis | RedisCluster):
            raise TypeError(
                "client must be a coredis.Redis or a coredis.RedisCluster, not an object of type "
                f"{type(given).__module__}.{type(given).__qualname__}"
            )
        check_instance(namespace, "namespace", str)
        if NAMESPACE.fullmatch(namespace) is None:
            raise ValueError(
                f"namespace must be one or more letters, digits and '_.-', not {namespace!r}: "
                "what is in a namespace must be told from all others by its beginning"
            )
        if client.decode_responses and client.encoding.lower().replace("_", "-") != "utf-8":
            raise ValueError(
                f"client must not decode answers as {client.encoding!r}, for keys are UTF-8: give "
                "it encoding='utf-8', or no decode_responses"
            )
        if client.connection_pool.max_connections < FEWEST_CONNECTIONS:
            raise ValueError(
                "client must have more than one connection, for a lease's subscription keeps one: "
                f"give it max_connections={FEWEST_CONNECTIONS} or more"
            )
        self._client = client
        self._channel = f"anyflight:{namespace}"
        self._prefix = f"anyflight:{namespace}:"
        self._tag_prefix = f"anyflight.tags:{namespace}:"
        self._scripts: dict[str, Script[Any]] = {
            text: client.register_script(text) for text in map(_script, _scripts.__all__)
        }

    async def check(self) -> None:
        """See :class:`LeaseStore`.

        :raises LeaseConfigurationError: if the client is not open, if the server is older than
            Redis 7.0, or if it refuses this user what is needed
        """
        self._check_open()
        try:
            info = await self._client.info("server")
            version = str(info["redis_version"])
            if tuple(map(int, version.split(".")[:2])) < OLDEST:
                raise LeaseConfigurationError(
                    f"leases need Valkey, or Redis 7.0 or later; this server is Redis {version}"
                )
            for text in self._scripts:
                await self._client.script_load(text)  # or each would be refused once, and sent then
            await self._run(_scripts.MAY, self._prefix, self._channel, self._tag_prefix)
        except (ResponseError, RequestRefusedError) as exc:
            refusal = exc.__cause__ if isinstance(exc, RequestRefusedError) else exc
            if not _is_refusal(refusal):
                raise
            raise LeaseConfigurationError(
                f"the server refuses what leases need ({type(refusal).__name__}): the client's "
                "user must have the right password, may use INFO, SCRIPT LOAD, EVALSHA and SCAN, "
                "and may run scripts that read, write and expire "
                f"the keys '{self._prefix}*' and '{self._tag_prefix}*', and publish and subscribe "
                f"to the channel '{self._channel}'"
            ) from exc

    def _check_open(self) -> None:
        try:
            _ = self._client.connection_pool.task_group
        except RuntimeError as exc:
            raise LeaseConfigurationError(
                "the client is not open: open it with 'async with' before the lease, and close it "
                "after that"
            ) from exc

    async def listen(self, hear: Hear, live: Callable[[], None]) -> None:
        """See :class:`LeaseStore`."""
        pubsub = self._client.pubsub(
            channels=[self._channel],
            ignore_subscribe_messages=True,
            retry_policy=NoRetryPolicy(),  # that it was lost has to be known
        )
        async with pubsub:
            live()
            async for message in pubsub:
                origin, colon, key = _text(message["data"]).partition(":")
                hear(Notice(key if colon else None, origin))

    async def acquire(
        self, key: str, token: str, *, ttl: float, since: int, waited: bool = True
    ) -> Acquired:
        """See :class:`LeaseStore`."""
        kind, epoch, *rest = await self._run(
            _scripts.ACQUIRE, self._prefix + key, token, _micro(ttl), since, int(waited)
        )
        match _text(kind):
            case "h":
                return Hit(_outcome([epoch, *rest]))
            case "w":
                return Won(int(epoch))
            case _:
                return Busy(int(epoch), int(rest[0]) / 1e6)

    async def renew(self, key: str, token: str, *, ttl: float) -> bool:
        """See :class:`LeaseStore`."""
        return bool(await self._run(_scripts.RENEW, self._prefix + key, token, _micro(ttl)))

    async def commit(
        self, key: str, token: str, outcome: Outcome, *, keep: float, wanted: bool
    ) -> bool:
        """See :class:`LeaseStore`."""
        return bool(
            await self._run(
                _scripts.COMMIT,
                self._prefix + key,
                token,
                outcome.epoch,
                outcome.kind.value,
                outcome.body,
                _micro(keep),
                int(wanted),
                self._channel,
                f":{key}",
            )
        )

    async def release(self, key: str, token: str) -> bool:
        """See :class:`LeaseStore`."""
        name = self._prefix + key
        return bool(await self._run(_scripts.RELEASE, name, token, self._channel, f":{key}"))

    async def invalidate(self, key: str, origin: str) -> None:
        """See :class:`LeaseStore`."""
        message = f"{origin}:{key}"
        await self._run(_scripts.INVALIDATE, self._prefix + key, self._channel, message)

    async def invalidate_all(self, origin: str) -> None:
        """See :class:`LeaseStore`."""
        await self._run(_scripts.INVALIDATE_ALL, self._prefix, self._channel, origin)

    async def replace(self, key: str, origin: str, outcome: Outcome, *, keep: float) -> None:
        """See :class:`LeaseStore`."""
        await self._run(
            _scripts.REPLACE,
            self._prefix + key,
            outcome.kind.value,
            outcome.body,
            _micro(keep),
            self._channel,
            f"{origin}:{key}",
        )

    async def read(self, key: str) -> Outcome | None:
        """See :class:`LeaseStore`."""
        found = await self._run(_scripts.READ, self._prefix + key)
        return _outcome(found) if found else None

    async def tag(self, key: str, tags: frozenset[str], *, keep: float) -> None:
        """See :class:`LeaseStore`."""
        for tag in tags:
            await self._run(_scripts.TAG, self._tag_prefix + tag, key, _micro(keep))

    async def tagged(self, tag: str) -> list[str]:
        """See :class:`LeaseStore`."""
        return [_text(key) for key in await self._run(_scripts.TAGGED, self._tag_prefix + tag)]

    async def keys(self) -> AsyncGenerator[str, None]:
        """See :class:`LeaseStore`."""
        scan = cast("AsyncGenerator[Any, None]", self._client.scan_iter(match=f"{self._prefix}*"))
        async with aclosing(scan) as names:
            async for name in names:
                yield _text(name).removeprefix(self._prefix)

    async def _run(self, script: str, key: str, *args: str | bytes | int) -> Any:
        encoded = [arg.encode() if isinstance(arg, str) else arg for arg in args]
        with self._client.decoding(False):  # noqa: FBT003 - its signature; bodies are bytes
            call: Awaitable[Any] = cast("Any", self._scripts[script])([key.encode()], encoded)
            try:
                return await call
            except (AuthenticationError, AuthorizationError):
                raise  # of this user, whatever is asked
            except ResponseError as exc:
                # The first word of what it says is a code; the rest may quote what it was sent.
                code = str(exc).partition(" ")[0]
                raise RequestRefusedError(f"{type(exc).__name__}: {code}") from exc


def _is_refusal(error: BaseException | None) -> bool:
    """Whether the server says that this user may not, rather than that it cannot now."""
    return isinstance(error, AuthenticationError | AuthorizationError | UnknownCommandError)


def _script(name: str) -> str:
    return cast("str", getattr(_scripts, name))


def _micro(seconds: float) -> int:
    return round(min(seconds, LONGEST) * 1_000_000)  # what is kept for ever, for so long


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def _outcome(answer: Any) -> Outcome:
    epoch, kind, body, age = answer
    # What a later version has stored is of no use to this one.
    known = KINDS.get(_text(kind), OutcomeKind.UNSHARED)
    return Outcome(int(epoch), known, body, int(age) / 1e6)
