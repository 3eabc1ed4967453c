"""The tests' wire carries everything, and can be held, cut and taken down."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.lease.proxy import PATIENCE, Proxy


class Echo:
    """A server that answers what it is sent, in capitals, after an `=`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1 << 20):
                connection.sendall(b"=" + data.upper())

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(*echo.address) as proxy:
        yield proxy
    proxy.wait_for_links(0)


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=PATIENCE)


def test_what_is_sent_arrives_in_order_and_whole(proxy: Proxy) -> None:
    with connected(proxy) as client, client.makefile("rb") as answers:
        sent = b"0123456789" * 100_000
        sender = threading.Thread(target=client.sendall, args=(sent,))
        sender.start()
        received = b""
        while len(received) < len(sent):
            received += answers.read1().replace(b"=", b"")
        sender.join()
        assert received == sent
        assert (proxy.links, proxy.accepted) == (1, 1)


def test_the_end_of_one_side_is_the_end_of_the_other(proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answers:
            assert answers.read() == b"=LAST WORDS"


def test_held_requests_arrive_after_the_block(proxy: Proxy) -> None:
    with connected(proxy) as client:
        with proxy.held("requests"):
            client.sendall(b"hello")
            proxy.wait_until_held("requests", b"hello")
        assert client.recv(100) == b"=HELLO"


def test_held_answers_arrive_after_the_block(proxy: Proxy) -> None:
    with connected(proxy) as client:
        with proxy.held("answers"):
            client.sendall(b"hello")
            proxy.wait_until_held("answers", b"=hello")
            assert select.select([client], [], [], 0) == ([], [], [])
        assert client.recv(100) == b"=HELLO"


def test_only_certain_connections_can_be_held(proxy: Proxy) -> None:
    with connected(proxy) as quiet, connected(proxy) as listener:
        with proxy.held("answers", of=b"SUBSCRIBE"):
            listener.sendall(b"subscribe")
            proxy.wait_until_held("answers")
            quiet.sendall(b"get")
            assert quiet.recv(100) == b"=GET"
        assert listener.recv(100) == b"=SUBSCRIBE"


def test_connections_can_be_held_without_those_that_are_made_later(proxy: Proxy) -> None:
    with connected(proxy) as old:
        proxy.wait_for_links(1)
        with proxy.held("answers", links="old"), connected(proxy) as new:
            old.sendall(b"old")
            proxy.wait_until_held("answers")
            new.sendall(b"new")
            assert new.recv(100) == b"=NEW"
        assert old.recv(100) == b"=OLD"


def test_a_request_that_is_held_arrives_although_its_client_has_left(proxy: Proxy) -> None:
    with proxy.held("requests"):
        with connected(proxy) as client:
            client.sendall(b"hello")
            proxy.wait_until_held("requests")
        assert proxy.links == 1
    proxy.wait_for_links(0)


def test_a_cut_closes_connections_and_loses_what_is_held(proxy: Proxy) -> None:
    with connected(proxy) as client, proxy.held("answers"):
        client.sendall(b"hello")
        proxy.wait_until_held("answers")
        proxy.cut()
        assert client.recv(100) == b""
    with connected(proxy) as client:
        client.sendall(b"again")
        assert client.recv(100) == b"=AGAIN"


def test_only_certain_connections_can_be_cut(proxy: Proxy) -> None:
    with connected(proxy) as quiet, connected(proxy) as listener:
        for client, word in ((listener, b"subscribe"), (quiet, b"get")):
            client.sendall(word)
            assert client.recv(100) == b"=" + word.upper()
        proxy.cut(of=b"SUBSCRIBE")
        assert listener.recv(100) == b""
        quiet.sendall(b"get")
        assert quiet.recv(100) == b"=GET"


def test_a_refusing_proxy_keeps_the_connections_that_it_has(proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"1")
        assert client.recv(100) == b"=1"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connected(proxy)
        client.sendall(b"2")
        assert client.recv(100) == b"=2"


def test_a_proxy_that_was_down_is_back_at_its_address(proxy: Proxy) -> None:
    with connected(proxy) as client:
        proxy.wait_for_links(1)
        with proxy.down():
            assert client.recv(100) == b""
            with pytest.raises(ConnectionRefusedError):
                connected(proxy)
        with connected(proxy) as again:
            again.sendall(b"hello")
            assert again.recv(100) == b"=HELLO"


def test_an_answer_can_be_forged(echo: Echo) -> None:
    with Proxy(*echo.address, forged=(b"NEW", b"OLD")) as proxy, connected(proxy) as client:
        client.sendall(b"new")
        assert client.recv(100) == b"=OLD"


def test_without_a_server_a_connection_ends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    with Proxy(*address) as proxy, connected(proxy) as client:
        assert client.recv(100) == b""
