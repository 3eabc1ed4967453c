"""A wire between clients and a server that the test can cut, hold and repair.

It drops and changes no byte unless it is told to, and keeps the order of each direction. It runs in
threads of its own, so that it works beside any event loop, a blocked one included.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, Self

from servers.ports import HOST, free_port

Direction = Literal["requests", "answers"]

# Far more than anything here takes; reached only by a bug.
PATIENCE = 30


@dataclass(eq=False, slots=True)
class Link:
    """One client's connection, and the one to the server that it stands for."""

    client: socket.socket
    server: socket.socket
    requests: bytearray = field(default_factory=bytearray)
    """All that the client has sent so far."""
    held: dict[Direction, bytes] = field(default_factory=dict)
    """What is on the wire in a direction that is held."""
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class _Hold:
    """Which connections are held in a direction."""

    of: bytes
    links: tuple[Link, ...] | None

    def is_of(self, link: Link) -> bool:
        return self.of in link.requests.lower() and (self.links is None or link in self.links)


class Proxy:
    """Listens on an address of its own for as long as its block lasts.

    Invariant: all fields but the addresses are read and written under `_changed`.
    """

    def __init__(self, host: str, port: int, *, forged: tuple[bytes, bytes] = (b"", b"")) -> None:
        self.host = HOST
        self.port = free_port()
        self._server = (host, port)
        #: What answers say in place of what: as many bytes.
        self._forged = forged
        self._changed = threading.Condition()
        self._links: list[Link] = []
        self._accepted = 0
        self._holds: dict[Direction, _Hold] = {}
        self._listener: _Listener | None = None

    def __enter__(self) -> Self:
        self.accept()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.refuse()
        self.cut()

    @property
    def links(self) -> int:
        """How many connections there are now."""
        with self._changed:
            return len(self._links)

    @property
    def accepted(self) -> int:
        """How many connections there have been."""
        with self._changed:
            return self._accepted

    def refuse(self) -> None:
        """Refuse new connections; those that there are go on."""
        with self._changed:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    def accept(self) -> None:
        """Accept connections again, at the same address."""
        with self._changed:
            assert self._listener is None
            self._listener = _Listener(self)

    def cut(self, *, of: bytes = b"") -> None:
        """Close connections on both sides; what is on the wire is lost.

        Those whose client has sent `of` at some time, in either case: without it all.
        """
        with self._changed:
            for link in [link for link in self._links if of.lower() in link.requests.lower()]:
                self._links.remove(link)
                link.is_cut = True
                # The threads that carry its bytes wake by this, and close the sockets.
                for end in (link.client, link.server):
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
            self._changed.notify_all()

    @contextmanager
    def down(self) -> Generator[None]:
        """Be as a server that does not run, for the length of the block."""
        self.refuse()
        self.cut()
        try:
            yield
        finally:
            self.accept()

    @contextmanager
    def held(
        self, *directions: Direction, of: bytes = b"", links: Literal["all", "old"] = "all"
    ) -> Generator[None]:
        """Hold what is sent in these directions; after the block it goes on its way.

        Of those connections only whose client has sent `of` at some time, in either case. With
        `links="old"` none that is made in the block.
        """
        with self._changed:
            hold = _Hold(of.lower(), None if links == "all" else tuple(self._links))
            self._holds.update(dict.fromkeys(directions, hold))
        try:
            yield
        finally:
            with self._changed:
                for direction in directions:
                    del self._holds[direction]
                self._changed.notify_all()

    def wait_until_held(self, direction: Direction, part: bytes = b"") -> None:
        """Return when something, with `part` in it, is on a wire that is held."""
        part = part.lower()
        with self._changed:
            assert self._changed.wait_for(
                lambda: any(
                    part in link.held.get(direction, b"").lower()
                    for link in self._links
                    if direction in link.held
                ),
                PATIENCE,
            ), f"nothing is held: {[link.held for link in self._links]}"

    def wait_for_links(self, count: int) -> None:
        """Return when there are so many connections."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._links) == count, PATIENCE)

    def connect(self, client: socket.socket) -> None:
        """Make a link of a connection that a listener has accepted."""
        try:
            server = socket.create_connection(self._server)
        except OSError:
            client.close()  # the server does not run: as soon as a proxy can say so
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, server)
        with self._changed:
            self._links.append(link)
            self._accepted += 1
            self._changed.notify_all()
        threading.Thread(target=self._run, args=(link,), daemon=True).start()

    def _run(self, link: Link) -> None:
        """Carry the bytes of one link, until both directions have ended."""
        answers = threading.Thread(target=self._carry, args=(link, "answers"), daemon=True)
        answers.start()
        self._carry(link, "requests")
        answers.join()
        with self._changed:
            if link in self._links:
                self._links.remove(link)
            self._changed.notify_all()
        link.client.close()
        link.server.close()

    def _carry(self, link: Link, direction: Direction) -> None:
        source, sink = link.client, link.server
        if direction == "answers":
            source, sink = sink, source
        with suppress(OSError):
            while data := source.recv(65536):
                if direction == "requests":
                    link.requests += data
                self._hold(link, direction, data)
                sink.sendall(data.replace(*self._forged) if direction == "answers" else data)
            # The end comes after all that was sent before it.
            self._hold(link, direction, b"")
        for end, half in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with suppress(OSError):
                end.shutdown(half)

    def _hold(self, link: Link, direction: Direction, data: bytes) -> None:
        """Return as soon as `data` may go on; raises `OSError` if the link is cut before."""

        def may_pass() -> bool:
            hold = self._holds.get(direction)
            return link.is_cut or hold is None or not hold.is_of(link)

        with self._changed:
            if not may_pass():
                link.held[direction] = data
                self._changed.notify_all()
                self._changed.wait_for(may_pass)
                del link.held[direction]
            if link.is_cut:
                raise OSError("cut")


class _Listener:
    """A socket that listens, and the thread that accepts from it."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._socket = socket.create_server((proxy.host, proxy.port))
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; return when connections are refused."""
        self._waker.close()
        self._thread.join()

    def _accept(self) -> None:
        with self._socket, self._woken:
            while True:
                ready, _, _ = select.select([self._socket, self._woken], [], [])
                if self._woken in ready:
                    return
                self._proxy.connect(self._socket.accept()[0])
